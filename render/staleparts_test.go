package render_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

// TestStaleParts checks the exact words that are reported about deltas that do not fit.
// An archive of testdata/staleparts is a fleet repo and deltas/, in order. Its want.txt
// has the problems, stale parts and objects of each cluster.
func TestStaleParts(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/staleparts/*.txtar")
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
			var deltas []*fleet.Delta
			for _, f := range archive.Files {
				switch {
				case f.Name == wantFile:
					want = string(f.Data)
				case strings.HasPrefix(f.Name, "deltas/"):
					deltas = append(deltas, mustRead(t, f.Data))
				default:
					tree[f.Name] = &fstest.MapFile{Data: f.Data}
				}
			}
			got := rendered(t, tree, deltas)
			if *update {
				rewrite(t, name, archive, got)
			} else if got != want {
				t.Errorf("rendered =\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func mustRead(t *testing.T, document []byte) *fleet.Delta {
	t.Helper()
	delta, err := render.Renderer{}.ReadDelta(document)
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return delta
}

func compile(t *testing.T, tree fstest.MapFS) fleet.Repo {
	t.Helper()
	repo, err := render.Renderer{}.Compile(context.Background(), tree)
	if err != nil || len(repo.Problems().Faults()) > 0 {
		t.Fatalf("Compile: %v\n%v", err, repo.Problems())
	}
	return repo
}

func rendered(t *testing.T, tree fstest.MapFS, deltas []*fleet.Delta) string {
	t.Helper()
	repo := compile(t, tree)
	var b strings.Builder
	for _, c := range repo.Clusters() {
		rendering, problems := repo.Render(context.Background(), c, deltas, nil)
		for _, p := range problems.Sort() {
			fmt.Fprintf(&b, "%s: warning %v: %s\n", c.Name, p.Warning, p)
		}
		if rendering == nil {
			fmt.Fprintf(&b, "%s: nothing\n", c.Name)
			continue
		}
		for _, o := range rendering.Stale {
			fmt.Fprintf(&b, "%s: stale %s %s: %s\n", c.Name, o.Delta, o.Field, o.Reason)
		}
		fmt.Fprintf(&b, "%s: %v\n", c.Name, rendering.Placement)
		for _, o := range rendering.Objects() {
			fmt.Fprintf(&b, "%s: %s\n", c.Name, o.JSON)
		}
	}
	return b.String()
}

// TestClustersRenderAtOnce renders on the same and on different stacks in many
// goroutines, for the race detector, and compares with a single rendering.
func TestClustersRenderAtOnce(t *testing.T) {
	t.Parallel()
	tree := small(apps(2, "a: b"))
	for i := range 4 {
		tree[fmt.Sprintf("c%d/kustomization.yaml", i)] = &fstest.MapFile{Data: []byte(
			"apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [a.yaml]\n")}
		tree[fmt.Sprintf("c%d/a.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil,
			"apiVersion: example.com/v1\nkind: App\nmetadata: {name: c%d}\nspec: {a: b}\n", i/2)}
	}
	var deltas [][]*fleet.Delta
	for i := range 8 {
		deltas = append(deltas, []*fleet.Delta{mustRead(t, fmt.Appendf(nil,
			"{name: a, selector: {}, components: [c%d, c%d], edits: [{kind: App, name: a0000%d, patch: {spec: {n: %d}}}]}", i%4, (i+1)%4, i%3, i))})
	}
	cluster := compile(t, tree).Clusters()[0]
	var want []string
	for _, d := range deltas {
		rendering, _ := compile(t, tree).Render(context.Background(), cluster, d, nil)
		want = append(want, fmt.Sprintf("%v %s", rendering.Stale, rendering.Inputs["apps"].JSON()))
	}
	repo := compile(t, tree)
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			rendering, problems := repo.Render(context.Background(), cluster, deltas[i%8], nil)
			if got := fmt.Sprintf("%v %s", rendering.Stale, rendering.Inputs["apps"].JSON()); got != want[i%8] {
				t.Errorf("rendered beside others: %s, %v, want %s", got, problems, want[i%8])
			}
		})
	}
	group.Wait()
	if !slices.ContainsFunc(want, func(s string) bool { return strings.HasPrefix(s, "[{") }) {
		t.Error("no delta has a stale part")
	}
}

// TestMissingDirectoryOfDeclaredClusterIsNamed has clusters that are declared through the
// API. Compile does not see them, so Render reports which of their directories are not in
// the fleet repo.
func TestMissingDirectoryOfDeclaredClusterIsNamed(t *testing.T) {
	t.Parallel()
	repo := compile(t, small(apps(1, "a: b")))
	for _, test := range []struct {
		cluster *fleet.Cluster
		want    string
	}{
		{&fleet.Cluster{Overlay: "overlays/gone"}, `overlay: "overlays/gone": does not exist`},
		{&fleet.Cluster{Overlay: "base", Components: []string{"components/gone"}}, `components[0]: "components/gone": does not exist`},
	} {
		test.cluster.Name = "edge-1"
		rendering, problems := repo.Render(context.Background(), test.cluster, nil, nil)
		if rendering != nil || len(problems) != 1 || !strings.Contains(problems[0].String(), test.want) {
			t.Errorf("Render(%+v) = %v, %v, want the one problem %q", test.cluster, rendering, problems, test.want)
		}
	}
}
