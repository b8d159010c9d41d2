package oci

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/sources/internal/transport"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
)

func TestRegistryNamesDockerHubAsFluxDoes(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"docker.io/fleet":       "registry-1.docker.io/library/fleet",
		"docker.io/acme/fleet":  "registry-1.docker.io/acme/fleet",
		"index.docker.io/fleet": "index.docker.io/library/fleet",
		"ghcr.io/fleet":         "ghcr.io/fleet",
	} {
		a, err := ParseReference(ref)
		if err != nil {
			t.Fatal(err)
		}
		if at := NewClient(Config{Reference: a}).at; at.Host()+"/"+at.Repository != want {
			t.Errorf("%s is asked for at %s/%s, want %s", ref, at.Host(), at.Repository, want)
		}
	}
}

func TestDockerConfigKeysOfDockerHub(t *testing.T) {
	t.Parallel()
	at := registry.Reference{Registry: "docker.io", Repository: "acme/fleet"}
	for key, want := range map[string]bool{
		"https://index.docker.io/v1/": true, "docker.io": true, "registry-1.docker.io": true, "index.docker.io/acme": true,
		"docker.io/acm": false, "*.docker.io": false, "ghcr.io": false, "": false,
	} {
		c := &dockerConfig{Auths: map[string]dockerAuth{key: {}}}
		if _, got := c.match(at); got != want {
			t.Errorf("the key %q is for %v: %v, want %v", key, at, got, want)
		}
	}
}

func TestRegistryCredentialsStayWithTheRegistry(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.json")
	config := `{"auths":{"registry.example":{"username":"u","password":"p"},"elsewhere.example":{"username":"v","password":"q"}}}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := NewClient(Config{Reference: Reference{Registry: "registry.example", Repository: "fleet"}, Options: Options{ConfigFile: file}})
	repo, err := c.Dial()
	if err != nil {
		t.Fatal(err)
	}
	client := repo.Client.(*auth.Client)
	for host, want := range map[string]string{"registry.example": "u", "elsewhere.example": "", "registry.example:8080": ""} {
		if got, err := client.Credential(t.Context(), host); err != nil || got.Username != want {
			t.Errorf("%s is given %q, %v, want %q", host, got.Username, err, want)
		}
	}
}

// TestStalledAnswerIsAnError waits for the transport's own time limit; the
// context has no deadline.
func TestStalledAnswerIsAnError(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "some of it")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	for name, tripper := range map[string]http.RoundTripper{
		"registry": clientTransport{next: http.DefaultTransport, stall: time.Second},
	} {
		client := &http.Client{Transport: tripper}
		response, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if text, err := io.ReadAll(response.Body); string(text) != "some of it" || !errors.Is(err, transport.ErrStalled) {
			t.Errorf("%s: ReadAll = %q, %v, want some of it and then %v", name, text, err, transport.ErrStalled)
		}
	}
}
