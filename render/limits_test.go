package render_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
)

// small returns a fleet of one cluster with the objects in base.
func small(base string) fstest.MapFS {
	return fstest.MapFS{
		"fleet.yaml": {Data: []byte(`apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs:
  - {name: apps, kind: App}
  placement:
  - {selector: {}, overlay: base}
`)},
		"base/kustomization.yaml": {Data: []byte("resources: [all.yaml]\n")},
		"base/all.yaml":           {Data: []byte(base)},
		"clusters/one.yaml":       {Data: []byte("apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\n")},
	}
}

func apps(n int, spec string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\napiVersion: example.com/v1\nkind: App\nmetadata: {name: a%05d}\nspec: {%s}\n", i, spec)
	}
	return b.String()
}

// doubling returns copy operations that each double the object.
func doubling(n int) string {
	ops := make([]string, n)
	for i := range ops {
		ops[i] = fmt.Sprintf(`{"op": "copy", "from": "/spec", "path": "/spec/x%d"}`, i)
	}
	return strings.Join(ops, ", ")
}

func TestTooLargeAnswerIsAFault(t *testing.T) {
	t.Parallel()
	const want = "has 958467 bytes, and Flux Operator accepts at most 921600"
	if got := problemsOf(t, small(apps(95, "text: "+strings.Repeat("x", 10_000)))); !strings.Contains(got, want) {
		t.Errorf("problems = %s, want one with %q", got, want)
	}
}

// TestSlowBuildsAreRefused has builds that would take kustomize minutes.
func TestSlowBuildsAreRefused(t *testing.T) {
	t.Parallel()
	list := "apiVersion: v1\nkind: AppList\nitems:\n" + strings.Repeat("- {apiVersion: example.com/v1, kind: App, metadata: {name: a}}\n", 5_000)
	for name, base := range map[string]string{"documents": apps(5_000, "a: b"), "list": list, "escapes": strings.ReplaceAll(apps(5_000, "a: b"), "kind:", `"\x6bind":`)} {
		t.Run(name, func(t *testing.T) {
			const want = "base/all.yaml: one build reads more than 4000 objects, counting from this file; place clusters on smaller overlays\n"
			if got := problemsOf(t, small(base)); got != want {
				t.Errorf("problems = %s, want %s", got, want)
			}
		})
	}
	t.Run("patches", func(t *testing.T) {
		tree := small(apps(1, "a: b"))
		patch := "- {target: {kind: App}, patch: '[]'}\n"
		tree["base/kustomization.yaml"].Data = []byte("resources: [all.yaml]\npatches:\n" + strings.Repeat(patch, 6_000))
		if got := problemsOf(t, tree); !strings.Contains(got, "leads to more than 5000 builds, patches and generators") {
			t.Errorf("problems = %s", got)
		}
		tree = small(apps(1, "a: b"))
		tree["clusters/one.yaml"].Data = append(tree["clusters/one.yaml"].Data, "spec:\n  patches:\n"+strings.Repeat("  "+patch, 501)...)
		if got := problemsOf(t, tree); !strings.Contains(got, "has 501 resources and patches; a cluster may have at most 500") {
			t.Errorf("problems = %s", got)
		}
	})
}

// TestLongBuildsAreRefusedBeforeTheyBegin has builds that take kustomize from minutes to hours.
func TestLongBuildsAreRefusedBeforeTheyBegin(t *testing.T) {
	t.Parallel()
	const patch = "- {target: {kind: App}, patch: '[{\"op\": \"add\", \"path\": \"/spec/x\", \"value\": 1}]'}\n"
	base := func(objects, more string) fstest.MapFS {
		tree := small(objects)
		tree["base/kustomization.yaml"].Data = []byte("resources: [all.yaml]\n" + more)
		return tree
	}
	levels := base(apps(2_000, "a: b"), "")
	for i, below := range []string{"base", "l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9", "l10", "l11", "l12", "l13", "l14", "l15", "l16", "l17", "l18", "l19", "l20", "l21", "l22", "l23", "l24", "l25", "l26", "l27", "l28"} {
		levels[fmt.Sprintf("l%d/kustomization.yaml", i)] = &fstest.MapFile{Data: []byte("resources: [../" + below + "]\nnamespace: x\n")}
	}
	levels["fleet.yaml"].Data = bytes.Replace(levels["fleet.yaml"].Data, []byte("overlay: base"), []byte("overlay: l29"), 1)
	namespaces := base(apps(1_000, "a: b"), "")
	below := "base"
	for i := range 25 { // each takes three times what it takes without a namespace
		namespaces[fmt.Sprintf("l%d/kustomization.yaml", i)] = &fstest.MapFile{Data: []byte("resources: [../" + below + "]\nnamespace: x\n")}
		below = fmt.Sprintf("l%d", i)
	}
	namespaces["fleet.yaml"].Data = bytes.Replace(namespaces["fleet.yaml"].Data, []byte("overlay: base"), []byte("overlay: "+below), 1)
	var named, referring strings.Builder
	for i := range 3_800 {
		fmt.Fprintf(&named, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\n", i)
	}
	for i := range 100 { // each takes kustomize 20 times as long as the names of the objects
		fmt.Fprintf(&referring, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%d}\nspec: {volumes: [%s]}\n", i, strings.Repeat("{name: a, configMap: {name: c1}}, ", 20))
	}
	component := small(apps(1_000, "a: b"))
	component["c/kustomization.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n" + strings.Repeat(patch, 1_000))}
	component["fleet.yaml"].Data = bytes.Replace(component["fleet.yaml"].Data, []byte("overlay: base"), []byte("overlay: base, components: [c]"), 1)
	for name, c := range map[string]struct {
		tree fstest.MapFS
		want string
	}{
		"patches":    {base(apps(1_000, "a: b"), "patches:\n"+strings.Repeat(patch, 1_000)), "base/kustomization.yaml: leads to 1000 objects and 1000 patches that select among them"},
		"component":  {component, "base: leads to 1000 objects and 1000 patches"},
		"levels":     {levels, "leads to 2000 objects and 0 patches that select among them, which takes kustomize about 6"},
		"references": {base(referring.String()+named.String(), "namePrefix: x-\n"), "base/kustomization.yaml: leads to 3900 objects and 0 patches"},
		"namespaces": {namespaces, "leads to 1000 objects and 0 patches that select among them, which takes kustomize about 3"},
		"plugins":    {base(apps(1_000, "a: b"), "transformers:\n- p.yaml\n"), "base/kustomization.yaml: leads to 1000 objects and 1000 patches"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.tree["base/p.yaml"] = &fstest.MapFile{Data: []byte(strings.Repeat("---\napiVersion: builtin\nkind: LabelTransformer\nmetadata: {name: x}\nlabels: {a: b}\n", 1_000))}
			if got := problemsOf(t, c.tree); !strings.Contains(got, c.want) || !strings.Contains(got, "a build may take 33 million") {
				t.Errorf("problems = %.400s, want one with %q", got, c.want)
			}
		})
	}
	t.Run("honest", func(t *testing.T) {
		t.Parallel()
		v := kustomize.NewVetting(base(apps(3_900, "a: b"), strings.Repeat("patches:\n"+strings.Repeat(patch, 5), 1)))
		if ok, problems := v.Placement(fleet.Placement{Overlay: "base"}, func(dir, _ string) fleet.Problem { return fleet.Problem{File: dir} }); !ok {
			t.Errorf("3,900 objects with five patches are refused: %v", problems)
		}
		for kind, tree := range map[string]fstest.MapFS{
			"ConfigMaps": base(strings.Repeat("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n", 3_900), "namePrefix: x-\n"),
			"Pods with a reference each": base(strings.Repeat("---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {volumes: [{name: a, configMap: {name: c1}}], containers: [{name: a, image: b}]}\n", 1_000)+
				strings.Repeat("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n", 1_000), "namePrefix: x-\n"),
		} {
			v := kustomize.NewVetting(tree)
			if ok, problems := v.Placement(fleet.Placement{Overlay: "base"}, func(dir, _ string) fleet.Problem { return fleet.Problem{File: dir} }); !ok {
				t.Errorf("thousands of %s with a namePrefix are refused: %v", kind, problems)
			}
		}
		kinds := strings.ReplaceAll(strings.Repeat(patch, 300), "kind: App", "kind: Other")
		v = kustomize.NewVetting(base(apps(1_000, "a: b"), "patches:\n"+kinds))
		if ok, problems := v.Placement(fleet.Placement{Overlay: "base"}, func(dir, _ string) fleet.Problem { return fleet.Problem{File: dir} }); !ok {
			t.Errorf("300 patches of another kind are refused: %v", problems)
		}
	})
}

// TestSlowShapesAreRefused has files that took minutes to read.
func TestSlowShapesAreRefused(t *testing.T) {
	t.Parallel()
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "  k%d: 1\n", i)
		}
		return b.String()
	}
	const app = "apiVersion: example.com/v1\nkind: App\nmetadata: {name: a}\nspec:\n"
	wide := strings.Repeat("---\n"+app+keys(1_000), 600)
	square := strings.Repeat("---\n"+app+keys(10_000), 5)
	for name, c := range map[string]struct{ base, want string }{
		"keys":   {app + keys(10_001), "base/all.yaml:5:3: a mapping has more than 10000 keys; split it into several objects\n"},
		"depth":  {app + "  a: " + strings.Repeat("{a: ", 2_000) + "1" + strings.Repeat("}", 2_000), "base/all.yaml:5:795: is nested more than 200 levels deep; flatten it\n"},
		"list":   {app + "  l:\n" + strings.Repeat("  - {name: a}\n", 2_001), "base/all.yaml:2006:5: a list has more than 2000 mappings; split it into several objects\n"},
		"values": {wide, "base/all.yaml: one build reads more than 1000000 values, counting from this file; place clusters on smaller overlays\n"},
		"work":   {square, "base/all.yaml: one build reads too many large mappings, counting from this file; split them, or place clusters on smaller overlays\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := problemsOf(t, small(c.base)); got != c.want {
				t.Errorf("problems = %.300s, want %s", got, c.want)
			}
		})
	}
	t.Run("patch", func(t *testing.T) {
		files := small(app + "  a: 1\n")
		files["clusters/one.yaml"].Data = append(files["clusters/one.yaml"].Data, ("spec:\n  patches:\n  - patch: |\n" + indent(app+keys(10_001)))...)
		const want = "a mapping has more than 10000 keys; split it into several objects"
		if got := problemsOf(t, files); !strings.Contains(got, want) {
			t.Errorf("problems = %.300s, want one with %q", got, want)
		}
	})
	t.Run("problems", func(t *testing.T) {
		files := small(app + "  a: 1\n")
		files["clusters/one.yaml"].Data = append(files["clusters/one.yaml"].Data, ("spec:\n" + keys(5_000))...)
		if got := strings.Count(problemsOf(t, files), "\n"); got != 1_000 {
			t.Errorf("a file with 5,000 mistakes has %d problems, want 1,000 reported", got)
		}
	})
}

// TestLargeRegularExpressionsAreRefused has targets whose regular expressions took all
// memory, or minutes to match.
func TestLargeRegularExpressionsAreRefused(t *testing.T) {
	t.Parallel()
	long, multiplied := "(a|"+strings.Repeat("b", 3_000_000)+")", "(abcdefgh){999}"
	const tooLong, tooMany = "is a regular expression of 3000004 bytes, and one may have at most 4096", "whose repetitions multiply to more than 420 states"
	kustomization := func(more string) func(fstest.MapFS) {
		return func(tree fstest.MapFS) {
			tree["base/kustomization.yaml"].Data = []byte("resources: [all.yaml]\n" + more)
		}
	}
	for name, c := range map[string]struct {
		change func(tree fstest.MapFS)
		want   string
	}{
		"cluster": {func(tree fstest.MapFS) {
			file := tree["clusters/one.yaml"]
			file.Data = append(file.Data, "spec:\n  patches:\n  - {target: {kind: App, name: '"+multiplied+"'}, patch: '[]'}\n"...)
		}, `clusters/one.yaml:6: cluster "one": spec.patches[0]: target.name is a regular expression ` + tooMany},
		"selector": {func(tree fstest.MapFS) {
			file := tree["clusters/one.yaml"]
			file.Data = append(file.Data, "spec:\n  patches:\n  - {target: {kind: App, labelSelector: "+strings.Repeat("a", 5_000)+"}, patch: '[]'}\n"...)
		}, `clusters/one.yaml:6: cluster "one": spec.patches[0]: target.labelSelector has 5000 bytes, and may have at most 4096`},
		"patch":       {kustomization("patches:\n- target: {kind: '" + long + "'}\n  patch: '[]'\n"), "base/kustomization.yaml:3: kind: " + tooLong},
		"replacement": {kustomization("replacements:\n- source: {kind: App}\n  targets:\n  - select: {name: '" + multiplied + "'}\n"), "base/kustomization.yaml:5: name: is a regular expression " + tooMany},
		"image":       {kustomization("images:\n- name: '" + long + "'\n  newTag: v1\n"), "base/kustomization.yaml:3: name: " + tooLong},
		"plugin":      {kustomization("transformers:\n- |-\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: x}\n  target: {kind: '" + multiplied + "'}\n"), "base/kustomization.yaml:3: kind: is a regular expression " + tooMany},
		"replacements": {func(tree fstest.MapFS) {
			kustomization("replacements: [{path: r.yaml}]\n")(tree)
			tree["base/r.yaml"] = &fstest.MapFile{Data: []byte("source: {kind: App}\ntargets:\n- reject: [{name: '" + multiplied + "'}]\n")}
		}, "base/r.yaml:3: name: is a regular expression " + tooMany},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := small(apps(3, "a: b"))
			c.change(tree)
			if got := problemsOf(t, tree); !strings.Contains(got, c.want) {
				t.Errorf("problems = %.300s, want one with %q", got, c.want)
			}
		})
	}
}

func indent(text string) string {
	return "      " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n      ") + "\n"
}

func TestSetOverTheProvidersDefaultLimitIsAWarning(t *testing.T) {
	t.Parallel()
	const want = `warning: fleet.yaml: input set "apps" has up to 101 inputs (on cluster "one"); a ResourceSetInputProvider ` +
		`without spec.filter.limit silently drops those after the first 100, and Flux deletes what they made: set it to 101 or more` + "\n"
	if got := problemsOf(t, small(apps(101, "a: b"))); got != want {
		t.Errorf("problems = %s, want %s", got, want)
	}
	if got := problemsOf(t, small(apps(100, "a: b"))); got != "" {
		t.Errorf("problems with 100 inputs = %s, want none", got)
	}
}

// huge is a tree with a file that claims to be too large, and fails the test if the file
// is read.
type huge struct {
	fstest.MapFS
	t    *testing.T
	name string
}

func (h huge) Stat(name string) (fs.FileInfo, error) {
	info, err := h.MapFS.Stat(name)
	if name == h.name {
		return hugeInfo{info}, err
	}
	return info, err
}

func (h huge) ReadFile(name string) ([]byte, error) {
	if name == h.name {
		h.t.Errorf("%s was read", name)
	}
	return h.MapFS.ReadFile(name)
}

type hugeInfo struct{ fs.FileInfo }

func (hugeInfo) Size() int64 { return 1 << 30 }

func TestHugeFileIsNotRead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fleet.yaml", "clusters/one.yaml", "base/kustomization.yaml", "base/all.yaml"} {
		t.Run(name, func(t *testing.T) {
			tree := huge{small(apps(1, "a: b")), t, name}
			got := problemsOf(t, tree)
			if want := name + ": has 1073741824 bytes; files may have at most 16 MiB"; !strings.Contains(got, want) {
				t.Errorf("problems = %s, want %s", got, want)
			}
		})
	}
}

func TestSymbolicLinksStayInTheTree(t *testing.T) {
	t.Parallel()
	link := func(target string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink}
	}
	for _, c := range []struct {
		name, target, want string
	}{
		{"inside", "../base/all.yaml", ""},
		{"absolute", "/etc/passwd", "link.yaml: the symbolic link to /etc/passwd leads out of the fleet repo"},
		{"parent", "../../passwd", "leads out of the fleet repo"},
		{"circle", "link.yaml", "leads out of the fleet repo, or back to itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := small(apps(1, "a: b"))
			tree["base/link.yaml"] = link(c.target)
			tree["base/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [link.yaml]\n")}
			got := problemsOf(t, tree)
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("problems = %q, want %q", got, c.want)
			}
		})
	}
}

// TestLinkedClustersAreNotMissed has links, which fs.WalkDir does not follow.
func TestLinkedClustersAreNotMissed(t *testing.T) {
	t.Parallel()
	tree := small(apps(1, "a: b"))
	tree["elsewhere/two.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: two}\n")}
	tree["clusters/two.yaml"] = &fstest.MapFile{Data: []byte("../elsewhere/two.yaml"), Mode: fs.ModeSymlink}
	if got := len(prepare(t, tree).Members()); got != 2 {
		t.Errorf("%d clusters, want 2", got)
	}
	tree["clusters/more"] = &fstest.MapFile{Data: []byte("../elsewhere"), Mode: fs.ModeSymlink}
	const want = "clusters/more: is a link to a directory, which is not followed; put the files themselves here\n"
	if got := problemsOf(t, tree); got != want {
		t.Errorf("problems = %q, want %q", got, want)
	}
}

// TestLinkedDirectoryIsBuiltUnderItsOwnName has a link to the directory that it is in.
// kustomize finds such a cycle only if the directory has one name.
func TestLinkedDirectoryIsBuiltUnderItsOwnName(t *testing.T) {
	t.Parallel()
	tree := small(apps(1, "a: b"))
	tree["base/self"] = &fstest.MapFile{Data: []byte("../base"), Mode: fs.ModeSymlink}
	tree["base/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [all.yaml, self]\n")}
	const want = "base/kustomization.yaml:1: resources: includes itself: base → base; remove one of these entries\n"
	if got := problemsOf(t, tree); got != want {
		t.Errorf("problems = %q, want %q", got, want)
	}
}

// TestHostileFileDoesNotPoisonTheNextBuild renders a good fleet after each bad one, in
// the same process, and expects the same bytes as before. It does not run in parallel,
// because another test could clean up kustomize's state in between.
func TestHostileFileDoesNotPoisonTheNextBuild(t *testing.T) {
	good := small(apps(3, "a: b"))
	before := answers(t, good)
	for name, patch := range map[string]string{
		"panic":     "target: {kind: App}\n    patch: '[{\"op\": \"replace\", \"path\": \"/metadata/name\", \"value\": \"x\"}]'",
		"copies":    "target: {kind: App}\n    patch: '[" + doubling(40) + "]'",
		"nonsense":  "patch: '{apiVersion: v1, kind: App, metadata: {name: 5}, $patch: {a: b}}'",
		"deep":      "patch: '" + strings.Repeat("[", 20_000) + "'",
		"directive": "patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: a00000}, spec: {$patch: explode}}'",
	} {
		t.Run(name, func(t *testing.T) {
			bad := small(apps(3, "a: b"))
			bad["clusters/one.yaml"] = &fstest.MapFile{Data: []byte(
				"apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\nspec:\n  patches:\n  - " + patch + "\n")}
			if got := problemsOf(t, bad); !strings.Contains(got, "clusters/one.yaml:") {
				t.Errorf("problems = %q, want one of the cluster file", got)
			}
			for i, f := range answers(t, good) {
				if string(f.Data) != string(before[i].Data) {
					t.Errorf("%s = %s after a hostile build, want %s", f.Name, f.Data, before[i].Data)
				}
			}
		})
	}
}
