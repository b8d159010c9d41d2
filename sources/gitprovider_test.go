package sources_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tributary-gitops/tributary/sources"
)

// gitHub is a stand-in of GitHub: a repository that only tokens of one App can
// read, and the part of the REST API that issues them.
type gitHub struct {
	t   *testing.T
	key *rsa.PrivateKey

	mu     sync.Mutex
	issued int
	// valid is the token that the repository accepts.
	valid   string
	expires time.Duration
}

func (g *gitHub) serve(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !strings.HasPrefix(r.URL.Path, "/api/v3/") {
		if user, password, _ := r.BasicAuth(); user != "x-access-token" || password != g.valid {
			w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
			http.Error(w, "no", http.StatusUnauthorized)
			return nil
		}
		return w
	}
	if err := g.check(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"message": "A JSON web token could not be decoded"}`)
		return nil
	}
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v3") {
	case "GET /repos/acme/fleet/installation":
		_, _ = io.WriteString(w, `{"id": 77}`)
	case "POST /app/installations/77/access_tokens":
		var want struct {
			Repositories []string
			Permissions  map[string]string
		}
		if err := json.NewDecoder(r.Body).Decode(&want); err != nil || fmt.Sprint(want) != "{[fleet] map[contents:read]}" {
			g.t.Errorf("asked for a token for %v, %v, want one to read the repository", want, err)
		}
		g.issued++
		g.valid = fmt.Sprint("ghs_", g.issued)
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"token": %q, "expires_at": %q}`, g.valid, time.Now().Add(g.expires).UTC().Format(time.RFC3339))
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"message": "Not Found"}`)
	}
	return nil
}

func (g *gitHub) check(assertion string) error {
	parsed, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return err
	}
	var claims jwt.Claims
	if err := parsed.Claims(&g.key.PublicKey, &claims); err != nil {
		return err
	}
	if life := claims.Expiry.Time().Sub(claims.IssuedAt.Time()); life > 10*time.Minute {
		return fmt.Errorf("valid for %s", life)
	}
	return claims.Validate(jwt.Expected{Issuer: "1234", Time: time.Now()})
}

func TestGitHubApp(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	hub := &gitHub{t: t, key: key, expires: time.Hour}
	repo := newGitRepo(t)
	must(t, os.MkdirAll(filepath.Join(repo.root, "acme"), 0o755))
	must(t, os.Symlink(repo.bare(), filepath.Join(repo.root, "acme", "fleet.git")))
	first := repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	server.intercept(hub.serve)
	url := server.URL + "/acme/fleet.git?ref=main"
	o := sources.Options{Git: sources.GitOptions{Provider: "github", GitHubAppID: "1234", GitHubAppKeyFile: pemFile(t, key)}}

	s := openAs(t, url, o)
	wantRevision(t, s, "", "main@sha1:"+first)
	repo.commit(map[string]string{"fleet.yaml": "two"})
	fetch(t, s, "")
	if hub.issued != 1 {
		t.Errorf("%d tokens were issued for two fetches, want one", hub.issued)
	}
	hub.valid = "revoked"
	fetchError(t, s, "the server does not accept the token of GitHub App 1234")
	fetch(t, s, "")
	if hub.issued != 2 {
		t.Errorf("%d tokens were issued, want another after the first was revoked", hub.issued)
	}

	hub.expires = time.Minute
	brief := o
	brief.Git.GitHubAppInstallation = "77"
	s = openAs(t, url, brief)
	fetch(t, s, "")
	fetch(t, s, "")
	if hub.issued != 4 {
		t.Errorf("%d tokens were issued, want another for each fetch when they expire soon", hub.issued)
	}

	wrong := o
	wrong.Git.GitHubAppKeyFile = pemFile(t, other)
	fetchError(t, openAs(t, url, wrong), "token of GitHub App 1234: ", "answered 401 Unauthorized: A JSON web token could not be decoded")
	fetchError(t, openAs(t, server.URL+"/acme/other.git", o), "its installation for acme/other: ", "404 Not Found: Not Found")
	wrong.Git.GitHubAppKeyFile = tokenFile(t, "no key")
	fetchError(t, openAs(t, url, wrong), "--git-github-app-key-file: ", "contains no private key in PEM format")
}

func pemFile(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	return file
}

// TestAzureDevOpsWithAWorkloadIdentity uses a stand-in of the token service, and a
// server that accepts its token and needs multi_ack.
func TestAzureDevOpsWithAWorkloadIdentity(t *testing.T) {
	asked := 0
	authority := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		for name, want := range map[string]string{
			"client_id": "client", "grant_type": "client_credentials", "scope": "499b84ac-1321-427f-aa17-267ca6975798/.default",
			"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		} {
			if got := r.PostFormValue(name); got != want || r.URL.Path != "/tenant/oauth2/v2.0/token" {
				t.Errorf("%s was asked with %s = %q, want %q", r.URL.Path, name, got, want)
			}
		}
		if r.PostFormValue("client_assertion") != "federated" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error": "invalid_client", "error_description": "AADSTS700211: No matching federated identity record found"}`)
			return
		}
		_, _ = io.WriteString(w, `{"token_type": "Bearer", "expires_in": 3599, "access_token": "entra"}`)
	}))
	t.Cleanup(authority.Close)
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Header.Get("Authorization") != "Bearer entra" {
			http.Error(w, "sign in", http.StatusUnauthorized)
			return nil
		}
		return w
	})
	o := sources.Options{Git: sources.GitOptions{Provider: "azure"}}
	s := openAs(t, server.url(), o)
	t.Setenv("AZURE_CLIENT_ID", "")
	fetchError(t, s, "token of the workload identity: AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE are not all set")
	file := tokenFile(t, "stale")
	for name, value := range map[string]string{"CLIENT_ID": "client", "TENANT_ID": "tenant", "AUTHORITY_HOST": authority.URL + "/", "FEDERATED_TOKEN_FILE": file} {
		t.Setenv("AZURE_"+name, value)
	}
	fetchError(t, s, "answered 401 Unauthorized: AADSTS700211: No matching federated identity record found")
	must(t, os.WriteFile(file, []byte("federated\n"), 0o600))
	fetch(t, s, "")
	repo.commit(map[string]string{"fleet.yaml": "two"})
	fetch(t, s, "")
	if asked != 2 {
		t.Errorf("the token service was asked %d times, want once after its refusal", asked)
	}
}

func TestGitProvidersAreChecked(t *testing.T) {
	t.Parallel()
	app := sources.GitOptions{Provider: "github", GitHubAppID: "1", GitHubAppKeyFile: "app.pem"}
	both, none := app, app
	both.TokenFile, none.Provider = "token", ""
	for want, c := range map[string]struct {
		url string
		o   sources.GitOptions
	}{
		"must be github or azure":              {"https://git.example.com/a/b", sources.GitOptions{Provider: "gitlab"}},
		"needs a GitHub App":                   {"https://github.com/a/b", sources.GitOptions{Provider: "github"}},
		"remove one of the flags":              {"https://github.com/a/b", both},
		"used only with --git-provider github": {"https://github.com/a/b", none},
		"issues tokens for https":              {"ssh://git@github.com/a/b", app},
		"sent over the network unencrypted":    {"http://github.com/a/b", app},
	} {
		_, err := sources.Open(c.url, sources.Options{Git: c.o})
		wantText(t, err, want)
	}
}
