package oci

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	helpers "github.com/docker/docker-credential-helpers/client"
	helper "github.com/docker/docker-credential-helpers/credentials"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// dockerConfig is the part of a Docker config.json that contains credentials.
// It is read here instead of by oras-go, which knows neither the paths nor the
// patterns that Kubernetes allows as keys, and which neither bounds what a
// credential helper prints nor ends the processes that it starts.
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
// is empty. The name may also be the directory of a mounted secret. Only the
// default file may be missing. Its errors repeat none of the content, because
// all of it may be secret.
func readDockerConfig(name string) (*dockerConfig, error) {
	c := &dockerConfig{file: cmp.Or(name, defaultConfig())}
	content, err := os.ReadFile(c.file)
	if errors.Is(err, syscall.EISDIR) {
		if c.file = filepath.Join(name, ".dockerconfigjson"); !exists(c.file) {
			c.file = filepath.Join(name, "config.json")
		}
		if content, err = os.ReadFile(c.file); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("registry credentials: %s contains neither .dockerconfigjson nor config.json", name)
		}
	}
	switch {
	case name == "" && (errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(content)) == 0):
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("registry credentials: %w", err)
	case json.Unmarshal(content, c) != nil:
		return nil, fmt.Errorf("%s: is not a Docker config.json; write one with docker login, or mount a secret of type kubernetes.io/dockerconfigjson", c.file)
	}
	c.digest = sha256.Sum256(content)
	return c, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// defaultConfig returns Docker's default file; an empty name, which never
// exists, if there is no home directory.
func defaultConfig() string {
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
	if name := cmp.Or(c.CredHelpers[server], c.CredHelpers[at.Registry], c.CredsStore); name != "" {
		found, err := runHelper(ctx, name, server)
		if err != nil || found != auth.EmptyCredential {
			return found, err
		}
	}
	key, ok := c.match(at)
	if !ok {
		return auth.EmptyCredential, nil
	}
	a := c.Auths[key]
	found := auth.Credential{Username: a.Username, Password: a.Password, RefreshToken: a.IdentityToken, AccessToken: a.RegistryToken}
	if a.Auth != "" {
		decoded, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, colon := strings.Cut(string(decoded), ":")
		if err != nil || !colon {
			return auth.EmptyCredential, fmt.Errorf("%s: auths, %s: auth is not the base64 of user:password", c.file, message.Printable(key))
		}
		found.Username, found.Password = user, strings.TrimRight(password, "\x00")
	}
	return found, nil
}

// token returns the token that the file has for a repository; empty for none.
func (c *dockerConfig) token(at registry.Reference) string {
	if key, ok := c.match(at); ok {
		return c.Auths[key].RegistryToken
	}
	return ""
}

// match returns the key of auths that matches a repository best. As in Docker
// and kubelet, a key is a registry, optionally with a path, with a scheme and
// API version that are ignored, and with * in parts of the host name. Of
// equally good keys it is always the same one.
func (c *dockerConfig) match(at registry.Reference) (best string, ok bool) {
	longest := -1
	for _, key := range slices.Sorted(maps.Keys(c.Auths)) {
		if length := matchKey(key, at); length > longest {
			best, longest = key, length
		}
	}
	return best, longest >= 0
}

// matchKey returns how well a key matches, -1 for not at all. A path is better
// than none, and an exact host is better than a pattern.
func matchKey(key string, at registry.Reference) int {
	if _, rest, ok := strings.Cut(key, "://"); ok {
		key = rest
	}
	host, prefix, _ := strings.Cut(key, "/")
	if prefix = strings.Trim(prefix, "/"); prefix == "v1" || prefix == "v2" {
		prefix = ""
	}
	if prefix != "" && !strings.HasPrefix(at.Repository+"/", prefix+"/") {
		return -1
	}
	if dockerHub(host) == dockerHub(at.Registry) {
		return 2*len(prefix) + 1
	}
	// A * matches within one part of the name, and the ports must be equal.
	parts := strings.NewReplacer(".", "/", ":", "/")
	if ok, err := path.Match(parts.Replace(host), parts.Replace(at.Registry)); err == nil && ok {
		return 2 * len(prefix)
	}
	return -1
}

// dockerHub returns one name for the several names of Docker Hub.
func dockerHub(host string) string {
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		return "docker.io"
	}
	return host
}

const (
	// helperTimeout is the time limit for a helper, which usually queries a
	// service.
	helperTimeout = 30 * time.Second
	// maxCredential is the maximum size of a helper's answer in bytes.
	maxCredential = 64 << 10
)

// helperName matches what may become part of the name of a program.
var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// runHelper runs a credential helper. The credential is empty if the helper has
// none.
func runHelper(ctx context.Context, suffix, server string) (auth.Credential, error) {
	name := "docker-credential-" + suffix
	if !helperName.MatchString(suffix) {
		return auth.EmptyCredential, fmt.Errorf("credential helper %s is not valid: it must be the part of a program's name after docker-credential-", message.Printable(suffix))
	}
	if _, err := exec.LookPath(name); err != nil {
		return auth.EmptyCredential, fmt.Errorf("credential helper %s is not installed; install it, or name another file with --registry-config", name)
	}
	soon, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	found, err := helpers.Get(func(args ...string) helpers.Program { return helperProgram{exec.CommandContext(soon, name, args...)} }, server)
	switch {
	case err == nil && found.Username == "<token>": // Helpers mark an identity token with this name.
		return auth.Credential{RefreshToken: found.Secret}, nil
	case err == nil:
		return auth.Credential{Username: found.Username, Password: found.Secret}, nil
	case helper.IsErrCredentialsNotFound(err):
		return auth.EmptyCredential, nil
	case ctx.Err() != nil:
		return auth.EmptyCredential, ctx.Err()
	case soon.Err() != nil:
		return auth.EmptyCredential, fmt.Errorf("credential helper %s did not answer for %s within %s; run it by hand to see why", name, server, helperTimeout)
	}
	// The helper's message is not repeated, because it may contain the secret.
	return auth.EmptyCredential, fmt.Errorf("credential helper %s failed for %s; run it by hand to see why", name, server)
}

// helperProgram is a helpers.Program that is killed with all its child
// processes when its context ends. Its stderr is discarded, because it may
// contain a secret, and its output is bounded.
type helperProgram struct{ *exec.Cmd }

func (p helperProgram) Input(in io.Reader) { p.Stdin = in }

func (p helperProgram) Output() ([]byte, error) {
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.Cancel = func() error { return syscall.Kill(-p.Process.Pid, syscall.SIGKILL) }
	p.WaitDelay = time.Second
	output, err := p.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.Start(); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(output, maxCredential))
	_ = output.Close() // One that still writes ends.
	return text, errors.Join(p.Wait(), err)
}
