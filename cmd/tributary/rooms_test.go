package main_test

import (
	"errors"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tributary-gitops/tributary"

// commandParts are the packages that only the command line uses. None imports an adapter.
var commandParts = []string{
	"cmd/tributary/internal/await",
	"cmd/tributary/internal/bootstrap",
	"cmd/tributary/internal/changelog",
	"cmd/tributary/internal/compare",
	"cmd/tributary/internal/complete",
	"cmd/tributary/internal/document",
	"cmd/tributary/internal/drain",
	"cmd/tributary/internal/exitcode",
	"cmd/tributary/internal/flags",
	"cmd/tributary/internal/fleetstatus",
	"cmd/tributary/internal/kubesecret",
	"cmd/tributary/internal/listing",
	"cmd/tributary/internal/lookup",
	"cmd/tributary/internal/output",
	"cmd/tributary/internal/preview",
	"cmd/tributary/internal/progress",
	"cmd/tributary/internal/registration",
	"cmd/tributary/internal/remote",
	"cmd/tributary/internal/report",
	"cmd/tributary/internal/result",
	"cmd/tributary/internal/retry",
	"cmd/tributary/internal/selector",
	"cmd/tributary/internal/setting",
	"cmd/tributary/internal/table",
	"cmd/tributary/internal/terminal",
	"cmd/tributary/internal/textdiff",
	"cmd/tributary/internal/textfmt",
	"cmd/tributary/internal/usage",
	"cmd/tributary/internal/watch",
}

// rooms lists the packages and, for each, the packages of this module that it may import.
// Packages import inward only, and packages of one ring never import each other.
var rooms = map[string][]string{
	"cmd/tributary": slices.Concat(commandParts, []string{"sources", "sources/archive", "sources/push", "render", "server", "server/api", "server/client", "fleet", "fleet/controller", "fleet/credential", "fleet/edit", "fleet/sqlstore", "fleet/view"}),

	"cmd/tributary/internal/await":        {"fleet", "server/api", "server/client", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/bootstrap":    {"server/api"},
	"cmd/tributary/internal/changelog":    {"server/api", "sources", "fleet/controller", "fleet/credential", "fleet/sqlstore"},
	"cmd/tributary/internal/compare":      {"server/api", "server/client", "cmd/tributary/internal/textdiff"},
	"cmd/tributary/internal/complete":     {"fleet", "server/client", "cmd/tributary/internal/flags", "cmd/tributary/internal/listing", "cmd/tributary/internal/remote", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/document":     {"fleet"},
	"cmd/tributary/internal/drain":        {"server/api", "server/client"},
	"cmd/tributary/internal/exitcode":     {},
	"cmd/tributary/internal/flags":        {"fleet", "server", "sources", "cmd/tributary/internal/document", "cmd/tributary/internal/selector", "cmd/tributary/internal/setting"},
	"cmd/tributary/internal/fleetstatus":  {"server/api", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/kubesecret":   {},
	"cmd/tributary/internal/listing":      {"fleet", "server/api", "cmd/tributary/internal/document", "cmd/tributary/internal/output", "cmd/tributary/internal/preview", "cmd/tributary/internal/selector", "cmd/tributary/internal/table", "cmd/tributary/internal/terminal", "cmd/tributary/internal/textdiff", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/lookup":       {"fleet"},
	"cmd/tributary/internal/output":       {"fleet"},
	"cmd/tributary/internal/preview":      {"fleet", "cmd/tributary/internal/table", "cmd/tributary/internal/terminal", "cmd/tributary/internal/textdiff", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/progress":     {"cmd/tributary/internal/terminal"},
	"cmd/tributary/internal/registration": {"fleet", "server/api", "server/client", "cmd/tributary/internal/kubesecret", "cmd/tributary/internal/remote", "cmd/tributary/internal/retry"},
	"cmd/tributary/internal/remote":       {"fleet", "server/client", "cmd/tributary/internal/output", "cmd/tributary/internal/preview", "cmd/tributary/internal/result", "cmd/tributary/internal/terminal", "cmd/tributary/internal/textfmt", "cmd/tributary/internal/usage"},
	"cmd/tributary/internal/report":       {"fleet", "cmd/tributary/internal/exitcode", "cmd/tributary/internal/output"},
	"cmd/tributary/internal/result":       {"fleet", "cmd/tributary/internal/preview", "cmd/tributary/internal/textdiff", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/retry":        {},
	"cmd/tributary/internal/selector":     {"fleet", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/setting":      {"cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/table":        {"cmd/tributary/internal/terminal", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/terminal":     {},
	"cmd/tributary/internal/textdiff":     {"cmd/tributary/internal/terminal", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/textfmt":      {},
	"cmd/tributary/internal/usage":        {},
	"cmd/tributary/internal/watch":        {"server/api", "server/client"},

	"sources":                    {"fleet", "sources/dir", "sources/git", "sources/internal/message", "sources/internal/transport", "sources/internal/tree", "sources/internal/version", "sources/oci", "sources/oci/cosign"},
	"sources/archive":            {"fleet", "sources/internal/tree"},
	"sources/dir":                {"fleet", "sources/internal/message", "sources/internal/tree"},
	"sources/git":                {"fleet", "sources/git/signature", "sources/git/token", "sources/internal/message", "sources/internal/transport", "sources/internal/tree", "sources/internal/version"},
	"sources/git/signature":      {},
	"sources/git/token":          {"sources/internal/message"},
	"sources/internal/message":   {"fleet"},
	"sources/internal/transport": {},
	"sources/internal/tree":      {"fleet", "sources/internal/message"},
	"sources/internal/version":   {"sources/internal/message"},
	"sources/oci":                {"fleet", "sources/internal/message", "sources/internal/transport", "sources/internal/tree", "sources/internal/version", "sources/oci/cloud", "sources/oci/cosign"},
	"sources/oci/cloud":          {},
	"sources/oci/cosign":         {"fleet", "sources/internal/message", "sources/internal/tree"},
	"sources/push":               {"fleet", "sources", "sources/dir", "sources/internal/message", "sources/internal/transport", "sources/internal/tree", "sources/oci"},
	"internal/nearest":           {},
	"render":                     {"fleet", "internal/nearest", "render/cache", "render/fleetrepo", "render/kustomize", "render/patch", "render/yamltext"},
	"render/cache":               {"fleet", "render/kustomize"},
	"render/fleetrepo":           {"fleet", "internal/nearest", "render/cache", "render/kustomize", "render/patch", "render/schema", "render/yamltext"},
	"render/kustomize":           {"fleet", "internal/nearest", "render/yamltext"},
	"render/hostiletest":         {},
	"render/patch":               {"fleet", "render/kustomize", "render/yamltext"},
	"render/schema":              {"internal/nearest", "render/kustomize", "render/yamltext"},
	"render/yamltext":            {"fleet"},
	"server":                     {"fleet", "fleet/controller", "fleet/credential", "fleet/view", "server/api", "server/auth", "server/limit", "server/standing", "server/webhook"},
	"server/api":                 {"fleet"},
	"server/auth":                {"fleet", "fleet/credential", "server/api"},
	"server/client":              {"fleet", "server/api"},
	"server/limit":               {"server/api"},
	"server/standing":            {"fleet", "fleet/view", "server/api"},
	"server/webhook":             {"fleet", "server/api"},
	"fleet/sqlstore":             {"fleet"},
	"fleet/storetest":            {"fleet"},
	"fleet/storetest/daemon":     {},
	"fleet/storetest/invariants": {"fleet", "fleet/rollout"},
	"fleet/storetest/pgtest":     {"fleet/storetest/daemon"},
	"deploy/kubetest":            {"fleet/storetest/daemon"},

	"fleet":                     {},
	"fleet/credential":          {"fleet"},
	"fleet/edit":                {"fleet"},
	"fleet/impact":              {"fleet"},
	"fleet/follow":              {"fleet"},
	"fleet/polls":               {"fleet"},
	"fleet/rollout":             {"fleet"},
	"fleet/tries":               {"fleet"},
	"fleet/view":                {"fleet"},
	"fleet/controller/lock":     {},
	"fleet/controller/metrics":  {"fleet", "fleet/controller/lock", "fleet/view"},
	"fleet/controller/position": {"fleet", "fleet/view"},
	"fleet/controller/prefetch": {"fleet", "fleet/view"},
	"fleet/controller/weigh":    {"fleet", "fleet/impact", "fleet/view"},
	"fleet/controller":          {"fleet", "fleet/controller/lock", "fleet/controller/metrics", "fleet/controller/position", "fleet/controller/prefetch", "fleet/controller/weigh", "fleet/credential", "fleet/edit", "fleet/follow", "fleet/impact", "fleet/polls", "fleet/rollout", "fleet/tries", "fleet/view"},

	"cmd/fleetgen":           {"cmd/fleetgen/synthetic"},
	"cmd/fleetgen/synthetic": {},
}

// floor lists the visible directories at the top level. bin holds build results and is not in
// Git.
var floor = []string{"bin", "cmd", "deploy", "docs", "examples", "fleet", "internal", "render", "server", "sources"}

func TestRoomsImportOnlyAllowedPackages(t *testing.T) {
	t.Parallel()
	packages := imports(t, "../..")
	if len(packages) == 0 {
		t.Fatal("no package found")
	}
	for room, imported := range packages {
		allowed, ok := rooms[room]
		if !ok {
			t.Errorf("package %s is not listed: add it here and to .golangci.yml", room)
			continue
		}
		for _, other := range imported {
			if !slices.Contains(allowed, other) {
				t.Errorf("%s imports %s; it may import %q", room, other, allowed)
			}
		}
	}
}

// TestRoomsAreKnownToTheLinter checks that .golangci.yml has a rule for each package, and allows each
// package that some other package may import.
func TestRoomsAreKnownToTheLinter(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile("../../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	for room, allowed := range rooms {
		if !strings.Contains(string(config), "${config-path}/"+room+"/*.go") {
			t.Errorf(".golangci.yml has no rule for %s", room)
		}
		for _, other := range allowed {
			if !strings.Contains(string(config), "- "+module+"/"+other+"$\n") {
				t.Errorf(".golangci.yml never allows %s, but %s may import it", other, room)
			}
		}
	}
}

func TestTopLevelHoldsOnlyRoomsAndDocuments(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(floor, e.Name()) {
			t.Errorf("top-level directory %s: want only %q", e.Name(), floor)
		}
	}
}

// imports returns, for each package of the module, the packages of the module that its
// production code imports. It reads the files, instead of running the go command, so that go
// test knows that the result depends on them and does not cache it.
func imports(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); dir != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "testdata") {
			return fs.SkipDir
		}
		pkg, err := build.ImportDir(dir, 0)
		if noGo := (*build.NoGoError)(nil); errors.As(err, &noGo) {
			return nil
		} else if err != nil {
			return err
		}
		if len(pkg.GoFiles) == 0 {
			return nil // only tests
		}
		room, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		room = filepath.ToSlash(room)
		found[room] = nil
		for _, path := range pkg.Imports {
			if other, ok := strings.CutPrefix(path, module+"/"); ok {
				found[room] = append(found[room], other)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
