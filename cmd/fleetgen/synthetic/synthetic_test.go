package synthetic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/cmd/fleetgen/synthetic"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/render"
)

func small() synthetic.Options {
	o := synthetic.Default()
	o.Clusters = 20
	return o
}

func made(t *testing.T, o synthetic.Options) *synthetic.Fleet {
	t.Helper()
	f, err := synthetic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// prepared returns the fleet as a server has it. It fails on any problem.
func prepared(t *testing.T, files map[string][]byte) *view.View {
	t.Helper()
	tree := fstest.MapFS{}
	for name, content := range files {
		tree[name] = &fstest.MapFile{Data: content}
	}
	view, problems, err := view.Prepare(context.Background(), render.Renderer{}, &fleet.Snapshot{Revision: "r", Tree: tree}, nil, nil)
	if err != nil || len(problems) > 0 {
		t.Fatalf("the fleet has problems: %v %v", err, problems)
	}
	return view
}

func same(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }

func TestSameArgumentsGiveTheSameBytes(t *testing.T) {
	t.Parallel()
	if !same(made(t, small()).Files(), made(t, small()).Files()) {
		t.Error("two fleets of the same options differ")
	}
	other := small()
	other.Seed = 1
	if same(made(t, small()).Files(), made(t, other).Files()) {
		t.Error("another seed gives the same fleet")
	}
}

func TestWriteWritesFiles(t *testing.T) {
	t.Parallel()
	f, dir := made(t, small()), filepath.Join(t.TempDir(), "fleet")
	if err := f.Write(dir); err != nil {
		t.Fatal(err)
	}
	written := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			written[path], err = os.ReadFile(filepath.Join(dir, path))
		}
		return err
	})
	if err != nil || !same(written, f.Files()) {
		t.Errorf("the written files differ from Files (%v)", err)
	}
}

func TestFileOfAClusterIsTheSameInALargerFleet(t *testing.T) {
	t.Parallel()
	larger := small()
	larger.Clusters *= 2
	all := made(t, larger).Files()
	for name, content := range made(t, small()).Files() {
		if !bytes.Equal(all[name], content) {
			t.Errorf("%s differs", name)
		}
	}
}

// TestFleetHasTheSizeOfItsOptions includes regions with some of the environments, more
// names than the lists have, and lists of one.
func TestFleetHasTheSizeOfItsOptions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*synthetic.Options){
		"default": func(*synthetic.Options) {},
		"one of each": func(o *synthetic.Options) {
			*o = synthetic.Options{Clusters: 1, Stacks: 1, Components: 1, Namespaces: 1, Bindings: 1, Patches: 1}
		},
		"many": func(o *synthetic.Options) {
			o.Stacks, o.Components, o.Namespaces, o.Bindings, o.Patches = 14, 32, 12, 12, 9
		},
		"no patches":     func(o *synthetic.Options) { o.Patches = 0 },
		"all inline":     func(o *synthetic.Options) { o.Inline = 1 },
		"inline, alone":  func(o *synthetic.Options) { o.Inline, o.Patches = 1, 0 },
		"another seed":   func(o *synthetic.Options) { o.Seed = 7 },
		"seven of seven": func(o *synthetic.Options) { o.Clusters, o.Stacks = 7, 7 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := small()
			change(&o)
			f := made(t, o)
			view := prepared(t, f.Files())
			members := view.Members()
			stacks := map[string]bool{}
			for _, m := range members {
				text, _ := json.Marshal(m.Placement)
				stacks[string(text)] = true
				want := map[string]int{"platform-components": o.Components + int(o.Inline), "namespaces": o.Namespaces, "rolebindings": o.Bindings}
				if !maps.Equal(m.Counts(), want) || len(m.Cluster.Patches) != o.Patches || len(m.Cluster.Resources) != int(o.Inline) {
					t.Errorf("%s has inputs %v, %d patches, %d resources", m.Cluster.Name, m.Counts(), len(m.Cluster.Patches), len(m.Cluster.Resources))
				}
			}
			for i := range o.Clusters {
				overlay, component := f.Placement(i)
				m, err := view.Member(f.ClusterName(i))
				if err != nil || m.Placement.Overlay != overlay || !slices.Equal(m.Placement.Components, []string{component}) {
					t.Errorf("cluster %d is placed on %+v (%v), want %s, %s", i, m.Placement, err, overlay, component)
				}
			}
			if len(members) != o.Clusters || len(stacks) != o.Stacks {
				t.Errorf("%d clusters on %d stacks, want %d on %d", len(members), len(stacks), o.Clusters, o.Stacks)
			}
		})
	}
}

func TestShareOfClustersHasAResourceInline(t *testing.T) {
	t.Parallel()
	o, n := small(), 0
	o.Clusters, o.Stacks, o.Components, o.Inline = 400, 3, 5, 0.25
	for _, m := range prepared(t, made(t, o).Files()).Members() {
		n += len(m.Cluster.Resources)
	}
	if n < 70 || n > 130 {
		t.Errorf("%d of 400 clusters have a resource inline, want about 100", n)
	}
}

func TestBaseChangeReachesEveryClusterAndClusterChangeOne(t *testing.T) {
	t.Parallel()
	for _, patches := range []int{0, 2} {
		o := small()
		o.Stacks, o.Patches = 4, patches
		f := made(t, o)
		before := prepared(t, f.Files())
		files := f.Files()
		name, content := f.BaseChange(1)
		files[name] = content
		if changed := differ(t, before, prepared(t, files)); len(changed) != o.Clusters {
			t.Errorf("a change of the base reaches %d clusters", len(changed))
		}
		files = f.Files()
		name, content = f.ClusterChange(5, 1)
		files[name] = content
		if changed := differ(t, before, prepared(t, files)); !slices.Equal(changed, []string{f.ClusterName(5)}) {
			t.Errorf("a change of one cluster reaches %q", changed)
		}
	}
}

// differ returns the clusters whose answers differ between two views.
func differ(t *testing.T, a, b *view.View) []string {
	t.Helper()
	var changed []string
	for _, m := range a.Members() {
		if !bytes.Equal(answer(t, a, m.Cluster.Name), answer(t, b, m.Cluster.Name)) {
			changed = append(changed, m.Cluster.Name)
		}
	}
	return changed
}

func answer(t *testing.T, v *view.View, cluster string) []byte {
	t.Helper()
	m, err := v.Member(cluster)
	if err != nil {
		t.Fatal(err)
	}
	body, err := m.Body("platform-components")
	if err != nil {
		t.Fatal(err)
	}
	return body.JSON()
}

func TestAnswerOfTheDefaultFleetHasTheDocumentedSize(t *testing.T) {
	t.Parallel()
	f := made(t, small())
	v := prepared(t, f.Files())
	for i := range small().Clusters {
		if n := len(answer(t, v, f.ClusterName(i))); n < 12_500 || n > 13_900 {
			t.Errorf("the components of %s are %d bytes, want about 13 KB", f.ClusterName(i), n)
		}
	}
}

func TestInvalidOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*synthetic.Options){
		"no clusters":             func(o *synthetic.Options) { o.Clusters = 0 },
		"more stacks than needed": func(o *synthetic.Options) { o.Stacks = 21 },
		"no components":           func(o *synthetic.Options) { o.Components = 0 },
		"more patches than parts": func(o *synthetic.Options) { o.Patches = 31 },
		"more than all":           func(o *synthetic.Options) { o.Inline = 1.5 },
	} {
		o := small()
		change(&o)
		if _, err := synthetic.New(o); err == nil {
			t.Errorf("%s: New accepts %+v", name, o)
		}
	}
}
