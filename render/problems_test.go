package render_test

import (
	"context"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/render"
)

var update = flag.Bool("update", false, "write the results into testdata")

const wantFile = "want.txt"

// TestProblems checks the exact words and place of every fault and warning. An archive of
// testdata/problems is a fleet repo. Its want.txt has the problems.
func TestProblems(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tree, want := fstest.MapFS{}, ""
			for _, f := range archive.Files {
				if f.Name == wantFile {
					want = string(f.Data)
					continue
				}
				tree[f.Name] = &fstest.MapFile{Data: f.Data}
			}
			got := problemsOf(t, tree)
			if *update {
				rewrite(t, name, archive, got)
			} else if got != want {
				t.Errorf("problems =\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// problemsOf returns one line for each problem of a tree. It checks that a tree is served
// if and only if it has no fault.
func problemsOf(t *testing.T, tree fs.FS) string {
	t.Helper()
	view, problems, err := view.Prepare(context.Background(), render.Renderer{}, &fleet.Snapshot{Revision: "r", Tree: tree}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if (view == nil) != (len(problems.Faults()) > 0) {
		t.Errorf("view = %v with faults %v", view, problems.Faults())
	}
	var b strings.Builder
	for _, p := range problems {
		if p.Warning {
			b.WriteString("warning: ")
		}
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

func rewrite(t *testing.T, name string, archive *txtar.Archive, got string) {
	t.Helper()
	files := archive.Files[:0]
	for _, f := range archive.Files {
		if f.Name != wantFile {
			files = append(files, f)
		}
	}
	archive.Files = append(files, txtar.File{Name: wantFile, Data: []byte(got)})
	if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
