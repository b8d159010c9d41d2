package sources

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tributary-gitops/tributary/sources/internal/message"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// dockerConfig is the part of a Docker config.json that contains credentials.
type dockerConfig struct {
	Auths       map[string]dockerAuth `json:"auths"`
	CredHelpers map[string]string     `json:"credHelpers"`
	CredsStore  string                `json:"credsStore"`

	file   string
	digest [sha256.Size]byte
}

type dockerAuth struct {
	// Auth is the base64 of user:password. It takes precedence over Username
	// and Password.
	Auth     string `json:"auth"`
	Username string `json:"username"`
	Password string `json:"password"`
	// IdentityToken is exchanged for other tokens; RegistryToken is sent as it
	// is.
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// readDockerConfig reads the named file, or Docker's default file if the name
// is empty. Only the default file may be missing. Its errors repeat none of the
// content, because all of it may be secret.
func readDockerConfig(name string) (*dockerConfig, error) {
	file, err := findDockerConfig(name)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(file)
	if name == "" && errors.Is(err, fs.ErrNotExist) {
		return &dockerConfig{file: file}, nil
	} else if err != nil {
		return nil, fmt.Errorf("registry credentials: %w", err)
	}
	c := &dockerConfig{file: file, digest: sha256.Sum256(content)}
	if len(bytes.TrimSpace(content)) == 0 && name == "" {
		return c, nil
	}
	if json.Unmarshal(content, c) != nil {
		return nil, fmt.Errorf("%s: is not a Docker config.json; write one with docker login, or mount a secret of type kubernetes.io/dockerconfigjson", file)
	}
	return c, nil
}

// findDockerConfig returns the file to read. The name may also be the directory
// of a mounted secret.
func findDockerConfig(name string) (string, error) {
	if name == "" {
		return defaultDockerConfig(), nil
	}
	if info, err := os.Stat(name); err != nil {
		return "", fmt.Errorf("registry credentials: %w", err)
	} else if !info.IsDir() {
		return name, nil
	}
	for _, base := range []string{".dockerconfigjson", "config.json"} {
		if file := filepath.Join(name, base); exists(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("registry credentials: %s contains neither .dockerconfigjson nor config.json", name)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// defaultDockerConfig returns Docker's default file; an empty name, which never
// exists, if there is no home directory.
func defaultDockerConfig() string {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".docker", "config.json")
}

// credential returns the credential for a repository; empty for none. A helper
// takes precedence over the file.
func (c *dockerConfig) credential(ctx context.Context, at registry.Reference) (auth.Credential, error) {
	server := credentials.ServerAddressFromRegistry(at.Registry)
	if helper := cmp.Or(c.CredHelpers[server], c.CredHelpers[at.Registry], c.CredsStore); helper != "" {
		credential, err := runHelper(ctx, helper, server)
		if err != nil || credential != auth.EmptyCredential {
			return credential, err
		}
	}
	key, ok := c.match(at)
	if !ok {
		return auth.EmptyCredential, nil
	}
	credential, err := c.Auths[key].credential()
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("%s: auths, %s: %w", c.file, message.Printable(key), err)
	}
	return credential, nil
}

func (a dockerAuth) credential() (auth.Credential, error) {
	c := auth.Credential{Username: a.Username, Password: a.Password, RefreshToken: a.IdentityToken, AccessToken: a.RegistryToken}
	if a.Auth == "" {
		return c, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(a.Auth)
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return c, errors.New("auth is not the base64 of user:password")
	}
	c.Username, c.Password = user, strings.TrimRight(password, "\x00")
	return c, nil
}
