package render_test

import (
	"bytes"
	"context"
	"encoding/json"
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

// TestAnswers checks the bytes of answers. An archive of testdata/answers is a fleet
// repo. Its want/<cluster>/<set>.json is the answer to a poll, indented.
func TestAnswers(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/answers/*.txtar")
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
			tree := fstest.MapFS{}
			want := map[string]string{}
			var files []txtar.File
			for _, f := range archive.Files {
				if strings.HasPrefix(f.Name, "want/") {
					want[f.Name] = string(f.Data)
					continue
				}
				tree[f.Name] = &fstest.MapFile{Data: f.Data}
				files = append(files, f)
			}
			got := answers(t, tree)
			if *update {
				archive.Files = append(files, got...)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(got) != len(want) {
				t.Errorf("%d answers, want %d", len(got), len(want))
			}
			for _, f := range got {
				if string(f.Data) != want[f.Name] {
					t.Errorf("%s =\n%s\nwant\n%s", f.Name, f.Data, want[f.Name])
				}
			}
		})
	}
}

func prepare(t *testing.T, tree fstest.MapFS) *view.View {
	t.Helper()
	view, problems, err := view.Prepare(context.Background(), render.Renderer{}, &fleet.Snapshot{Revision: "r", Tree: tree}, nil, nil)
	if err != nil || view == nil {
		t.Fatalf("Prepare: %v\n%v", err, problems)
	}
	return view
}

func answers(t *testing.T, tree fstest.MapFS) []txtar.File {
	t.Helper()
	var out []txtar.File
	view := prepare(t, tree)
	for _, m := range view.Members() {
		for _, set := range view.Sets() {
			body, err := m.Body(set)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := json.Indent(&b, body.JSON(), "", " "); err != nil {
				t.Fatal(err)
			}
			b.WriteByte('\n')
			out = append(out, txtar.File{Name: "want/" + m.Cluster.Name + "/" + set + ".json", Data: b.Bytes()})
		}
	}
	return out
}

// TestSameSnapshotSameBytes checks promise 4 for rendering: the order of maps, the timing
// of goroutines and earlier builds do not change an answer.
func TestSameSnapshotSameBytes(t *testing.T) {
	t.Parallel()
	snapshot := &fleet.Snapshot{Revision: "r", Tree: os.DirFS("../examples/fleet")}
	var first map[string]string
	for range 2 {
		view, problems, err := view.Prepare(context.Background(), render.Renderer{}, snapshot, nil, nil)
		if err != nil || view == nil {
			t.Fatalf("Prepare: %v\n%v", err, problems)
		}
		bodies := map[string]string{}
		for _, m := range view.Members() {
			for _, set := range view.Sets() {
				body, err := m.Body(set)
				if err != nil {
					t.Fatal(err)
				}
				bodies[m.Cluster.Name+"/"+set] = string(body.JSON()) + string(body.Gzip()) + body.ETag()
			}
		}
		if first == nil {
			first = bodies
		}
		for name, body := range bodies {
			if body != first[name] {
				t.Errorf("%s differs between two renderings of one snapshot", name)
			}
		}
	}
}

// TestExampleFleetHasNoProblems checks that the fleet that newcomers copy has no warnings
// either.
func TestExampleFleetHasNoProblems(t *testing.T) {
	t.Parallel()
	snapshot := &fleet.Snapshot{Revision: "local", Tree: os.DirFS("../examples/fleet")}
	view, problems, err := view.Prepare(context.Background(), render.Renderer{}, snapshot, nil, nil)
	if err != nil || len(problems) > 0 {
		t.Fatalf("Prepare(examples/fleet): %v\n%v", err, problems)
	}
	if got := len(view.Members()); got < 8 {
		t.Errorf("examples/fleet has %d clusters, want at least 8", got)
	}
}
