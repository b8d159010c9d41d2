package sources_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestOCIAsksWithCredentials(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t, withPassword("robot", "hunter2hunter2"))
	dir := writeTree(t, map[string]string{"fleet/fleet.yaml": "one"})
	server.oras(dir, "push", server.host+"/team/fleet:v1", "fleet")
	right, wrong := "robot:hunter2hunter2", "robot:wrong"
	for name, auths := range map[string]map[string]string{
		"host":                      {server.host: right},
		"host before pattern":       {server.host: right, "127.0.0.*" + server.host[len("127.0.0.1"):]: wrong},
		"URL":                       {"http://" + server.host + "/": right},
		"URL with version":          {"https://" + server.host + "/v2/": right},
		"path":                      {server.host + "/team": right},
		"path before host":          {server.host: wrong, server.host + "/team/": right},
		"longest path":              {server.host + "/team": wrong, server.host + "/team/fleet": right},
		"path of another":           {server.host: right, server.host + "/tea": wrong, server.host + "/team/fleet/x": wrong},
		"pattern":                   {"127.*.0.1" + server.host[len("127.0.0.1"):]: right},
		"pattern of other length":   {"127.*.*.*" + server.host[len("127.0.0.1"):]: right, "*.0" + server.host[len("127.0.0.1"):]: wrong},
		"pattern for another port":  {server.host: right, "127.0.0.*": wrong},
		"another host with its end": {server.host: right, "x" + server.host: wrong},
	} {
		t.Run(name, func(t *testing.T) {
			o := server.options()
			o.OCI.ConfigFile = dockerConfigFile(t, auths)
			wantContents(t, fetch(t, openAs(t, server.url("team/fleet:v1"), o), "").Tree, map[string]string{"fleet/fleet.yaml": "one"})
		})
	}
}

func TestOCIReadsEachFormOfDockerConfig(t *testing.T) {
	server := newRegistryServer(t, withPassword("robot", "hunter2hunter2"))
	server.oras(writeTree(t, map[string]string{"fleet.yaml": "one"}), "push", server.host+"/fleet:v1", "fleet.yaml")
	must(t, os.Chmod(t.TempDir(), 0o700))
	right := map[string]string{server.host: "robot:hunter2hunter2"}
	secret, home, docker := t.TempDir(), t.TempDir(), t.TempDir()
	writeDockerConfig(t, filepath.Join(secret, ".dockerconfigjson"), right)
	writeDockerConfig(t, filepath.Join(docker, "config.json"), right)
	must(t, os.Mkdir(filepath.Join(home, ".docker"), 0o700))
	writeDockerConfig(t, filepath.Join(home, ".docker", "config.json"), right)
	named := filepath.Join(t.TempDir(), "named")
	plain, err := json.Marshal(map[string]any{"auths": map[string]any{server.host: map[string]string{"username": "robot", "password": "hunter2hunter2"}}, "other": []int{1}})
	must(t, err)
	must(t, os.WriteFile(named, plain, 0o600))
	for name, c := range map[string]struct{ file, home, docker string }{
		"secret, file":      {filepath.Join(secret, ".dockerconfigjson"), "", ""},
		"secret, directory": {secret, "", ""},
		"docker, directory": {docker, "", ""},
		"no base64":         {named, "", ""},
		"home":              {"", home, ""},
		"DOCKER_CONFIG":     {"", "", docker},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", c.home)
			t.Setenv("DOCKER_CONFIG", c.docker)
			o := server.options()
			o.OCI.ConfigFile = c.file
			fetch(t, openAs(t, server.url("fleet:v1"), o), "")
		})
	}
}

func TestOCICredentialsAreRotatedInTheirFile(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t, withPassword("robot", "hunter2hunter2"))
	server.oras(writeTree(t, map[string]string{"fleet.yaml": "one"}), "push", server.host+"/fleet:v1", "fleet.yaml")
	proxy := server.proxy()
	o := server.options()
	o.OCI.ConfigFile = dockerConfigFile(t, map[string]string{proxy.host(): "robot:wrongwrong"})
	s := openAs(t, "oci://"+proxy.host()+"/fleet:v1", o)
	err := fetchError(t, s, "the registry does not accept the credentials in "+o.OCI.ConfigFile+" for "+proxy.host(), "--registry-config")
	if !errors.Is(err, fleet.ErrUnauthenticated) || strings.Contains(err.Error(), "wrongwrong") {
		t.Errorf("error = %v, want a fleet.ErrUnauthenticated without the password", err)
	}
	writeDockerConfig(t, o.OCI.ConfigFile, map[string]string{proxy.host(): "robot:hunter2hunter2"})
	known := fetch(t, s, "").Revision
	proxy.takeRequests()
	fetchNothing(t, s, known)
	if got := proxy.takeRequests(); len(got) != 1 {
		t.Errorf("a look with a password that is known asks for %q, want one request", got)
	}
	writeDockerConfig(t, o.OCI.ConfigFile, nil)
	fetchError(t, s, "requires a user and password", "there is none for "+proxy.host()+" in "+o.OCI.ConfigFile)
}

func TestOCIConfigThatCannotBeReadIsNamed(t *testing.T) {
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	dir := t.TempDir()
	file := func(name, content string) string {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		return filepath.Join(dir, name)
	}
	for name, c := range map[string]struct{ file, want string }{
		"absent":      {filepath.Join(dir, "absent.json"), "absent.json: no such file"},
		"empty":       {file("empty", ""), "empty: is not a Docker config.json"},
		"no JSON":     {file("yaml", "auths: hunter2hunter2"), "yaml: is not a Docker config.json"},
		"cut short":   {file("cut", `{"auths":{"x":{"auth":"hunter2hunter2`), "cut: is not a Docker config.json"},
		"other types": {file("types", `{"auths":["hunter2hunter2"]}`), "types: is not a Docker config.json"},
		"directory":   {t.TempDir(), "contains neither .dockerconfigjson nor config.json"},
	} {
		o := server.options()
		o.OCI.ConfigFile = c.file
		if err := fetchError(t, openAs(t, server.url("fleet:v1"), o), c.want); strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error = %q, which tells the secret", name, err)
		}
	}
	t.Setenv("DOCKER_CONFIG", filepath.Dir(file("config.json", "hunter2")))
	fetchError(t, server.open("fleet:v1"), "config.json: is not a Docker config.json")
}

func TestOCIInvalidCredentialIsNamed(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t, withPassword("robot", "hunter2hunter2"))
	for _, auth := range []string{"hunter2!hunter2", base64.StdEncoding.EncodeToString([]byte("hunter2"))} {
		text, err := json.Marshal(map[string]any{"auths": map[string]any{server.host: map[string]string{"auth": auth}}})
		must(t, err)
		o := server.options()
		o.OCI.ConfigFile = filepath.Join(t.TempDir(), "config.json")
		must(t, os.WriteFile(o.OCI.ConfigFile, text, 0o600))
		if err := fetchError(t, openAs(t, server.url("fleet:v1"), o), server.host+": auth is not the base64 of user:password"); strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), auth) {
			t.Errorf("error = %q, which tells the secret", err)
		}
	}
}

// tokenService is a proxy in front of a registry that requires bearer tokens.
type tokenService struct {
	*httptest.Server
	proxy *registryProxy
	// valid is the token that the registry accepts, and asked are the
	// credentials that tokens were requested with.
	valid string
	asked []string
}

func newTokenService(t *testing.T, proxy *registryProxy) *tokenService {
	s := &tokenService{proxy: proxy, valid: "token-1"}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		s.asked = append(s.asked, strings.Join([]string{r.Method, user, password, r.FormValue("scope"), r.FormValue("refresh_token")}, " "))
		if password != "hunter2hunter2" && r.FormValue("refresh_token") != "hunter2hunter2" {
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"no such user"}]}`, http.StatusUnauthorized)
			return
		}
		must(t, json.NewEncoder(w).Encode(map[string]string{"token": s.valid, "access_token": s.valid}))
	}))
	t.Cleanup(s.Close)
	proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Bearer "+s.valid {
			return false
		}
		w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test",scope="repository:fleet:pull"`, s.URL))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	return s
}

func TestOCIKeepsBearerTokensWhileTheyAreValid(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	for name, config := range map[string]map[string]string{
		"password":       {"username": "robot", "password": "hunter2hunter2"},
		"identity token": {"identitytoken": "hunter2hunter2"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := server.proxy()
			tokens := newTokenService(t, proxy)
			text, err := json.Marshal(map[string]any{"auths": map[string]any{proxy.host(): config}})
			must(t, err)
			o := server.options()
			o.OCI.ConfigFile = filepath.Join(t.TempDir(), "config.json")
			must(t, os.WriteFile(o.OCI.ConfigFile, text, 0o600))
			s := openAs(t, "oci://"+proxy.host()+"/fleet:v1", o)
			known := fetch(t, s, "").Revision
			if len(tokens.asked) != 1 || !strings.Contains(tokens.asked[0], "repository:fleet:pull") {
				t.Errorf("tokens were asked for with %q, want one request for the scope", tokens.asked)
			}
			proxy.takeRequests()
			fetchNothing(t, s, known)
			if got := proxy.takeRequests(); len(got) != 1 || len(tokens.asked) != 1 {
				t.Errorf("a look with a valid token asks for %q and %q, want one request", got, tokens.asked)
			}
			tokens.valid = "token-2" // The first token has expired.
			fetchNothing(t, s, known)
			if len(tokens.asked) != 2 {
				t.Errorf("tokens were asked for with %q, want a second request", tokens.asked)
			}
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		proxy := server.proxy()
		newTokenService(t, proxy)
		o := server.options()
		o.OCI.ConfigFile = dockerConfigFile(t, map[string]string{proxy.host(): "robot:wrongwrong"})
		fetchError(t, openAs(t, "oci://"+proxy.host()+"/fleet:v1", o), "the registry does not accept the credentials in", "--registry-config")
	})
}

// TestOCISendsExplicitBearerTokens uses a token that somebody put into the
// configuration, and registries that say where tokens come from, say nothing of
// it, or expect one without asking.
func TestOCISendsExplicitBearerTokens(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	for name, challenge := range map[string]string{
		"realm": `Bearer realm="https://auth.invalid/token",service="test"`, "no realm": "Bearer", "no challenge": "",
	} {
		t.Run(name, func(t *testing.T) {
			proxy := server.proxy()
			proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Authorization") == "Bearer token-1" {
					return false
				}
				if challenge != "" {
					w.Header().Set("Www-Authenticate", challenge)
				}
				w.WriteHeader(http.StatusUnauthorized)
				return true
			})
			o := server.options()
			o.OCI.ConfigFile = filepath.Join(t.TempDir(), "config.json")
			must(t, os.WriteFile(o.OCI.ConfigFile, []byte(`{"auths":{"`+proxy.host()+`":{"registrytoken":"token-1"}}}`), 0o600))
			fetch(t, openAs(t, "oci://"+proxy.host()+"/fleet:v1", o), "")
			must(t, os.WriteFile(o.OCI.ConfigFile, []byte(`{"auths":{"`+proxy.host()+`":{"registrytoken":"token-2"}}}`), 0o600))
			if err := fetchError(t, openAs(t, "oci://"+proxy.host()+"/fleet:v1", o), "does not accept the credentials"); strings.Contains(err.Error(), "token-2") {
				t.Errorf("error = %q, which tells the token", err)
			}
		})
	}
}

func TestOCIForbiddenNamesTheOption(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	proxy := server.proxy()
	proxy.intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	err := fetchError(t, openAs(t, "oci://"+proxy.host()+"/fleet:v1", server.options()), "may not read fleet", "--registry-config")
	if !errors.Is(err, fleet.ErrForbidden) {
		t.Errorf("error = %v, want a fleet.ErrForbidden", err)
	}
}

// TestOCIForbiddenSaysWhy uses reasons other than the credentials.
func TestOCIForbiddenSaysWhy(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	proxy := server.proxy()
	refuse := func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED","message":"the quota is used up"}]}`))
	}
	proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			refuse(w)
		}
		return r.Method == http.MethodGet
	})
	fetchError(t, openAs(t, "oci://"+proxy.host()+"/fleet:v1", server.options()), "may not read fleet", "the quota is used up")

	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w) }))
	defer elsewhere.Close()
	proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return true
		}
		return false
	})
	err := fetchError(t, openAs(t, "oci://"+proxy.host()+"/fleet:v1", server.options()), strings.TrimPrefix(elsewhere.URL, "http://")+" answered 403")
	if errors.Is(err, fleet.ErrForbidden) {
		t.Errorf("error = %v, which blames the credentials", err)
	}
}

// TestOCICredentialsStayWithTheRegistry lets the registry redirect blobs to
// another host, as registries that store them in S3 do.
func TestOCICredentialsStayWithTheRegistry(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t, withPassword("robot", "hunter2hunter2"))
	server.oras(writeTree(t, map[string]string{"fleet.yaml": "one"}), "push", server.host+"/fleet:v1", "fleet.yaml")
	var shown []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte("one"))
	}))
	defer elsewhere.Close()
	proxy := server.proxy()
	proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		// The other host has another name, because only oras-go regards another
		// port as another host.
		http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)+"/bucket?signature=x", http.StatusTemporaryRedirect)
		return true
	})
	o := server.options()
	o.OCI.ConfigFile = dockerConfigFile(t, map[string]string{
		proxy.host(): "robot:hunter2hunter2", "localhost" + elsewhere.URL[len("http://127.0.0.1"):]: "robot:hunter2hunter2",
	})
	wantContents(t, fetch(t, openAs(t, "oci://"+proxy.host()+"/fleet:v1", o), "").Tree, map[string]string{"fleet.yaml": "one"})
	if !slices.Equal(shown, []string{""}) {
		t.Errorf("the other host was shown %q, want one request without credentials", shown)
	}
}
