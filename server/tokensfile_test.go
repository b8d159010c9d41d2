package server_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server"
	"github.com/tributary-gitops/tributary/server/auth"
)

func TestTokensFileReportsEveryMistake(t *testing.T) {
	t.Parallel()
	for content, want := range map[string][]string{
		"":                             {"tokens: is missing"},
		"tokens:":                      {"tokens: is missing"},
		"token: []":                    {`unknown field "token"`},
		"tokens: {}":                   {"cannot unmarshal"},
		"tokens: []\ntokens: []":       {`"tokens" already set`},
		"tokens: [\n":                  {"yaml: line"},
		"tokens: [x]":                  {"tokens[0]: ", "must have name"},
		"tokens:\n- {nam: ada}":        {"tokens[0]: ", `unknown field "nam"`},
		"tokens:\n- {}":                {"tokens[0].name: is missing", `tokens[0].role: of ""`, `tokens[0].hash: of ""`},
		"tokens: [{name: a, name: b}]": {`"name" already set`},
		`tokens:
- {name: ada, role: root, hash: "sha256:0"}
- {name: bob, role: viewer, cluster: x, hash: "` + hash("b") + `"}
- {name: bob, role: cluster, hash: "` + hash("b") + `"}
- {name: eve, role: cluster, cluster: eu.example.com, hash: md5:` + strings.Repeat("0", 64) + `}
- {name: sam, role: viewer, hash: "` + fmt.Sprintf("sha256:%x", sha256.Sum256(nil)) + `"}
- {name: tim, role: viewer, hash: "sha256:` + strings.Repeat("0", 66) + `"}
- {name: una, role: viewer, hash: ` + viewerToken + `}`: {
			`tokens[0].role: of "ada" must be`, `tokens[0].hash: of "ada" must be`,
			`tokens[1].cluster: of "bob" is for`,
			`tokens[2].name: "bob" is the name of`, `tokens[2].cluster: of "bob" must be`, `tokens[2].hash: of "bob" is that of an entry above`,
			`tokens[3].cluster: of "eve" must be`, `tokens[3].hash: of "eve" must be`,
			`tokens[4].hash: of "sam" is that of an empty token`,
			`tokens[5].hash: of "tim" must be`, `tokens[6].hash: of "una" must be`,
		},
		`tokens:
- {name: ada, role: operator, selector: {matchLabels: {"-": eu}}, hash: "` + hash("a") + `"}
- {name: bob, role: operator, selector: {}, hash: "` + hash("b") + `"}
- {name: eve, role: admin, selector: {matchLabels: {region: eu}}, hash: "` + hash("e") + `"}
- {name: joe, role: viewer, labels: {region: eu}, hash: "` + hash("j") + `"}
- {name: sam, role: bootstrap, cluster: EU, labels: {region: "e u", "a/b/c": x}, hash: "` + hash("s") + `"}
- {name: tim, role: operator, cluster: eu-prod-01, hash: "` + hash("t") + `"}
- {name: una, role: operator, selector: {matchLabel: {region: eu}}, hash: "` + hash("u") + `"}`: {
			`tokens[0].selector: of "ada" cannot be used`, `tokens[1].selector: of "bob" matches every cluster`,
			`tokens[2].selector: of "eve" is for`, `tokens[3].labels: of "joe" is for`,
			`tokens[4].cluster: of "sam" must be`, `tokens[4].labels.region: of "sam"`, `tokens[4].labels.a/b/c: of "sam"`,
			`tokens[5].cluster: of "tim" is for`, `tokens[6]: json: unknown field "matchLabel"`,
		},
	} {
		file := writeFile(t, "tokens.yaml", content)
		_, err := server.New(server.Config{TokensFile: file, Fleet: controller.New(controller.Config{Source: &source{}, Renderer: &renderer{}})})
		var problems fleet.Problems
		if !errors.As(err, &problems) {
			t.Errorf("%s\n= %v, want problems", content, err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s\n= %v\nwant %s in it", content, err, w)
			}
		}
		if strings.Contains(err.Error(), viewerToken) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s\n= %v\nmust name the file and quote no hash", content, err)
		}
		if len(want) > 3 && len(problems) != len(want) {
			t.Errorf("%d problems, want %d:\n%v", len(problems), len(want), err)
		}
	}
}

func TestTokensKeepTheirLimits(t *testing.T) {
	t.Parallel()
	s := newServer(t, server.Config{TokensFile: writeFile(t, "tokens.yaml", `tokens:
- {name: eu, role: operator, selector: {matchLabels: {region: eu}}, hash: "`+hash("eu")+`"}
- {name: boot, role: bootstrap, cluster: eu-1, labels: {region: eu}, hash: "`+hash("boot")+`"}`)})
	region := map[string]string{"region": "eu"}
	for token, want := range map[string]auth.Identity{
		"eu":   {Name: "eu", Role: auth.Operator, Scope: &fleet.Selector{MatchLabels: region}},
		"boot": {Name: "boot", Role: auth.Bootstrap, Cluster: "eu-1", Labels: region},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if got, err := s.Who(r); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %+v, %v, want %+v", token, got, err, want)
		}
	}
}

func TestAFileWithoutTokensAdmitsNobody(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "tokens.yaml", "tokens: []")
	h := start(t, func(c *server.Config) { c.TokensFile = file })
	h.get("/api/v1/releases", bearer("x")...).problem(t, http.StatusUnauthorized, "unauthenticated")
}

// replaced are the ways in which files are replaced.
var replaced = map[string]func(t *testing.T, file, content string){
	"written in place": func(t *testing.T, file, content string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte(content), 0o600))
	},
	"renamed over": func(t *testing.T, file, content string) {
		t.Helper()
		must(t, os.WriteFile(file+".new", []byte(content), 0o600))
		must(t, os.Rename(file+".new", file))
	},
	// As the kubelet does for a mounted Secret: file -> ..data/file, ..data -> ..<time>.
	"linked anew": func(t *testing.T, file, content string) {
		t.Helper()
		dir, name := filepath.Split(file)
		version := fmt.Sprintf("..%d", time.Now().UnixNano())
		must(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, version, name), []byte(content), 0o600))
		must(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		if _, err := os.Readlink(file); err != nil {
			_ = os.Remove(file)
			must(t, os.Symlink(filepath.Join("..data", name), file))
		}
	},
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTokensAreReloaded(t *testing.T) {
	t.Parallel()
	for way, replace := range replaced {
		t.Run(way, func(t *testing.T) {
			content := func(token string) string {
				return `tokens: [{name: grafana, role: viewer, hash: "` + hash(token) + `"}]`
			}
			file := filepath.Join(t.TempDir(), "tokens.yaml")
			replace(t, file, content("first"))
			h := start(t, func(c *server.Config) { c.TokensFile, c.Reload = file, time.Millisecond })
			status := func(token string) int { return h.get("/api/v1/releases", bearer(token)...).status }
			if got := status("first"); got != http.StatusOK {
				t.Fatalf("first = %d, want 200", got)
			}
			replace(t, file, content("second"))
			eventually(t, func() bool { return status("second") == http.StatusOK })
			if got := status("first"); got != http.StatusUnauthorized {
				t.Errorf("revoked = %d, want 401", got)
			}

			replace(t, file, `tokens: [{name: grafana, role: viewr, hash: "`+hash("third")+`"}]`)
			const complaint = "file cannot be used, its last good content is kept"
			eventually(t, func() bool { return strings.Contains(h.logs.String(), "must be cluster, viewer") })
			if status("second") != http.StatusOK || status("third") != http.StatusUnauthorized {
				t.Error("a bad file must keep the tokens that were read before")
			}
			failing := func() string {
				for line := range strings.Lines(string(h.get("/metrics", bearer("second")...).body)) {
					if value, is := strings.CutPrefix(line, `tributary_reload_failing{file="tokens"} `); is {
						return strings.TrimSpace(value)
					}
				}
				return ""
			}
			if got := failing(); got != "1" {
				t.Errorf("tributary_reload_failing = %q, want 1", got)
			}
			if got := len(h.logs.lines(t, complaint)); way != "written in place" && got != 1 {
				t.Errorf("complained %d times, want once", got)
			}
			replace(t, file, content("second"))
			eventually(t, func() bool { return failing() == "0" })
		})
	}
}
