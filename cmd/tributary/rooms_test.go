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
	"cmd/tributary/internal/bootstrap",
	"cmd/tributary/internal/change",
	"cmd/tributary/internal/document",
	"cmd/tributary/internal/drain",
	"cmd/tributary/internal/exitcode",
	"cmd/tributary/internal/kubesecret",
	"cmd/tributary/internal/output",
	"cmd/tributary/internal/preview",
	"cmd/tributary/internal/reference",
	"cmd/tributary/internal/result",
	"cmd/tributary/internal/retry",
	"cmd/tributary/internal/selector",
	"cmd/tributary/internal/setting",
	"cmd/tributary/internal/table",
	"cmd/tributary/internal/textdiff",
	"cmd/tributary/internal/textfmt",
}

// The rooms, as docs and README draw them: each with the rooms it may import.
// The domain stands in the middle, and siblings never meet.
var rooms = map[string][]string{
	"cmd/tributary": slices.Concat(commandParts, []string{"sources", "render", "server", "server/api", "server/client", "fleet", "fleet/controller", "fleet/credential", "fleet/edit", "fleet/sqlstore"}),

	"cmd/tributary/internal/bootstrap":  {"server/api"},
	"cmd/tributary/internal/change":     {"fleet", "server/api", "cmd/tributary/internal/document", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/document":   {"fleet"},
	"cmd/tributary/internal/drain":      {"server/api", "server/client"},
	"cmd/tributary/internal/exitcode":   {},
	"cmd/tributary/internal/kubesecret": {},
	"cmd/tributary/internal/output":     {"fleet"},
	"cmd/tributary/internal/preview":    {"fleet", "cmd/tributary/internal/table", "cmd/tributary/internal/textdiff", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/reference":  {},
	"cmd/tributary/internal/result":     {"fleet", "cmd/tributary/internal/textdiff", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/retry":      {},
	"cmd/tributary/internal/selector":   {"fleet", "cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/setting":    {"cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/table":      {"cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/textdiff":   {"cmd/tributary/internal/textfmt"},
	"cmd/tributary/internal/textfmt":    {},

	"sources":                {"fleet", "sources/gitsign"},
	"sources/gitsign":        {},
	"render":                 {"fleet", "render/cache", "render/fleetrepo", "render/kustomize", "render/patch"},
	"render/cache":           {"fleet", "render/kustomize"},
	"render/fleetrepo":       {"fleet", "render/cache", "render/kustomize", "render/patch"},
	"render/kustomize":       {"fleet"},
	"render/patch":           {"fleet", "render/kustomize"},
	"server":                 {"fleet", "fleet/controller", "fleet/credential", "fleet/view", "server/api", "server/auth", "server/limit", "server/webhook"},
	"server/api":             {"fleet"},
	"server/auth":            {"fleet", "fleet/credential", "server/api"},
	"server/client":          {"fleet", "server/api"},
	"server/limit":           {"server/api"},
	"server/webhook":         {"fleet", "server/api"},
	"fleet/sqlstore":         {"fleet"},
	"fleet/storetest":        {"fleet"},
	"fleet/storetest/daemon": {},
	"fleet/storetest/pgtest": {"fleet/storetest/daemon"},
	"deploy/kubetest":        {"fleet/storetest/daemon"},

	"fleet":            {},
	"fleet/credential": {"fleet"},
	"fleet/edit":       {"fleet"},
	"fleet/impact":     {"fleet"},
	"fleet/follow":     {"fleet"},
	"fleet/polls":      {"fleet"},
	"fleet/rollout":    {"fleet"},
	"fleet/view":       {"fleet"},
	"fleet/controller": {"fleet", "fleet/credential", "fleet/edit", "fleet/follow", "fleet/impact", "fleet/polls", "fleet/rollout", "fleet/view"},

	"cmd/fleetgen":           {"cmd/fleetgen/synthetic"},
	"cmd/fleetgen/synthetic": {}, // it makes files up, and knows nobody
}

// floor is everything at the top level that is neither a file nor hidden; bin is
// where make builds, and not in Git.
var floor = []string{"bin", "cmd", "deploy", "docs", "examples", "fleet", "render", "server", "sources"}

func TestRoomsImportOnlyWhatTheDrawingAllows(t *testing.T) {
	t.Parallel()
	packages := imports(t, "../..")
	if len(packages) == 0 {
		t.Fatal("no package found")
	}
	for room, imported := range packages {
		allowed, ok := rooms[room]
		if !ok {
			t.Errorf("package %s is in no room: give it to one, or draw it a new one here and in the docs", room)
			continue
		}
		for _, other := range imported {
			if !slices.Contains(allowed, other) {
				t.Errorf("%s imports %s; it may import %q", room, other, allowed)
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

// imports maps each package of the module, by its directory, to the packages of
// the module that it imports outside its tests. It reads the files itself rather
// than ask the go command, because go test sees that and runs the test again
// when one of them changes.
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
			return nil // tests alone
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
