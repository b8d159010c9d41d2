package render_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

// regions returns a fleet of two clusters in the EU, which share a component, and two in
// the US.
func regions() fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range map[string]string{
		"fleet.yaml": `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs:
  - {name: apps, kind: App, schema: schemas/app.json}
  placement:
  - {selector: {matchExpressions: [{key: region, operator: Exists}]}, overlay: overlays/all}
  - {selector: {matchLabels: {region: eu}}, components: [components/eu]}
  - {selector: {matchLabels: {size: large}}, overlay: overlays/large}
`,
		"schemas/app.json":                 `{"properties": {"replicas": {"maximum": 9}}}`,
		"overlays/all/kustomization.yaml":  "resources: [../../base]\n",
		"base/kustomization.yaml":          "resources: [all.yaml]\n",
		"base/all.yaml":                    apps(2, "replicas: 1"),
		"components/eu/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [eu.yaml]\n",
		"components/eu/eu.yaml":            "apiVersion: example.com/v1\nkind: App\nmetadata: {name: eu}\nspec: {replicas: 2}\n",
		"clusters/eu/eu-1.yaml":            member("eu-1", "eu"),
		"clusters/eu/eu-2.yaml":            member("eu-2", "eu"),
		"clusters/us.yaml":                 member("us-1", "us") + "---\n" + member("us-2", "us"),
	} {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

func member(name, region string) string {
	return fmt.Sprintf("apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: %s, labels: {region: %s}}\nspec:\n  dns: %[1]s.example.com\n", name, region)
}

// set returns a change of a tree that writes a file.
func set(name, text string) func(fstest.MapFS) {
	return func(tree fstest.MapFS) { tree[name] = &fstest.MapFile{Data: []byte(text)} }
}

// replace returns a change of a tree that replaces text in a file.
func replace(name, before, after string) func(fstest.MapFS) {
	return func(tree fstest.MapFS) {
		text := strings.Replace(string(tree[name].Data), before, after, 1)
		if text == string(tree[name].Data) {
			panic(name + " has no " + before)
		}
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
}

func link(name, target string) func(fstest.MapFS) {
	return func(tree fstest.MapFS) { tree[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink} }
}

func all(changes ...func(fstest.MapFS)) func(fstest.MapFS) {
	return func(tree fstest.MapFS) {
		for _, change := range changes {
			change(tree)
		}
	}
}

// TestFaultsConcernDependentClustersOnly checks that a fault keeps the clusters that
// depend on what has it from the revision, with the reason, and that all others get the
// same bytes as without it.
func TestFaultsConcernDependentClustersOnly(t *testing.T) {
	t.Parallel()
	const eu1, eu2, us1, us2 = "eu-1", "eu-2", "us-1", "us-2"
	const eu2File, component = "clusters/eu/eu-2.yaml", "components/eu/kustomization.yaml"
	patch := func(text string) func(fstest.MapFS) {
		return set(eu2File, member(eu2, "eu")+"  patches:\n  - "+text+"\n")
	}
	for name, c := range map[string]struct {
		change func(fstest.MapFS)
		failed []string // the clusters that depend on it
		why    string   // part of the reason of each
	}{
		"syntax of a cluster file":     {set(eu2File, "metadata: {name: eu-2\n"), []string{eu2}, eu2File},
		"no cluster in a file":         {set(eu2File, "# soon\n"), []string{eu2}, "has no cluster"},
		"bomb in a cluster file":       {set(eu2File, strings.Repeat("[", 300)+strings.Repeat("]", 300)), []string{eu2}, eu2File},
		"one document of two":          {replace("clusters/us.yaml", "dns: us-2", "dsn: us-2"), []string{us2}, "spec.dsn: unknown field"},
		"name of one document of two":  {replace("clusters/us.yaml", "name: us-2", "name: US_2"), []string{us2}, `"US_2" must be`},
		"name that is repeated":        {replace("clusters/us.yaml", "name: us-2", "name: us-3, name: us-2"), []string{us2}, "repeats the key of line"},
		"label that is none":           {replace(eu2File, "region: eu", "region: eu, size: -large-"), []string{eu2}, "metadata.labels.size"},
		"no placement":                 {replace(eu2File, "region: eu", "area: eu"), []string{eu2}, "no rule of spec.placement"},
		"link out of the tree":         {link(eu2File, "/etc/passwd"), []string{eu2}, eu2File},
		"link to a folder":             {all(func(m fstest.MapFS) { delete(m, eu2File); delete(m, "clusters/eu/eu-1.yaml") }, link("clusters/eu", "../base")), []string{eu1, eu2}, "is a link to a directory"},
		"missing overlay of one":       {replace(eu2File, "spec:", "spec:\n  overlay: overlays/absent"), []string{eu2}, "does not exist"},
		"missing component of one":     {replace(eu2File, "spec:", "spec:\n  components: [components/absent]"), []string{eu2}, "does not exist"},
		"component of one that is not": {replace(eu2File, "spec:", "spec:\n  components: [base]"), []string{eu2}, "must be a Component"},
		"patch that hits nothing":      {patch("patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: absent}}'"), []string{eu2}, "to patch"},
		"patch against the schema":     {patch("patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: eu}, spec: {replicas: 10}}'"), []string{eu2}, "schemas/app.json"},
		"patch on which kustomize panics": {patch(`{target: {kind: App}, patch: '[{"op": "replace", "path": "/metadata/name", "value": "same"}]'}`),
			[]string{eu2}, "panics"},
		"patch that empties a set":     {patch("{target: {kind: App}, patch: '{$patch: delete, apiVersion: a/v1, kind: App, metadata: {name: any}}'}"), []string{eu2}, "is empty"},
		"resource that exists already": {set(eu2File, member(eu2, "eu")+"  resources:\n  - {apiVersion: example.com/v1, kind: App, metadata: {name: eu}}\n"), []string{eu2}, "already"},
		"name of another":              {set("clusters/new.yaml", member(us1, "eu")), []string{us1}, `"us-1" is already used`},
		"name of a broken one":         {all(replace("clusters/us.yaml", "dns: us-1", "dsn: us-1"), set("clusters/new.yaml", member(us1, "eu"))), []string{us1}, "us-1"},
		"dns of another":               {replace(eu2File, "dns: eu-2", "dns: us-1"), []string{eu2, us1}, `"us-1.example.com" is already used`},
		"dns of one without a name":    {set("clusters/new.yaml", strings.ReplaceAll(member("us-1", "eu"), "name: us-1", "name: -")), []string{us1}, `"us-1.example.com" is already used`},
		"syntax of a component":        {set("components/eu/eu.yaml", "spec: {replicas: 2\n"), []string{eu1, eu2}, "components/eu"},
		"schema and a component":       {replace("components/eu/eu.yaml", "replicas: 2", "replicas: 20"), []string{eu1, eu2}, "components/eu/eu.yaml:4: spec.replicas: App/eu"},
		"remote file of a component":   {replace(component, "eu.yaml", `"https://example.com/eu.yaml"`), []string{eu1, eu2}, component},
		"openapi of a component":       {replace(component, "resources", "openapi: {path: eu.yaml}\nresources"), []string{eu1, eu2}, component},
		"empty file of a component":    {set("components/eu/eu.yaml", "\n"), []string{eu1, eu2}, "is empty"},
		"link of a component":          {link("components/eu/eu.yaml", "../../../etc/passwd"), []string{eu1, eu2}, component},
		"component that is gone": {all(func(m fstest.MapFS) { delete(m, component); delete(m, "components/eu/eu.yaml") }),
			[]string{eu1, eu2}, `fleet.yaml:9: spec.placement[1].components[0]: "components/eu": does not exist`},
		"overlay that is gone":   {replace(eu2File, "region: eu", "region: eu, size: large"), []string{eu2}, "spec.placement[2].overlay"},
		"overlay out of a rule":  {all(replace("fleet.yaml", "overlays/large", "/etc"), replace(eu2File, "region: eu", "region: eu, size: large")), []string{eu2}, "leads out of the fleet repo"},
		"overlay does not build": {all(set("overlays/large/kustomization.yaml", "resources: [../../base, ../../base]\n"), replace(eu2File, "region: eu", "region: eu, size: large")), []string{eu2}, "resources[1]: ../../base leads to App/a00000, which is there already"},
		"base of all":            {set("base/all.yaml", "no: [object\n"), []string{eu1, eu2, us1, us2}, "base"},
		"base of two overlays": {all(overlayOfUS(""), set("base/kustomization.yaml", "resources: [absent.yaml]\n")),
			[]string{eu1, eu2, us1, us2}, "base/kustomization.yaml:1: resources: absent.yaml: does not exist"},
		"more faults than reported": {all(overlayOfUS("helmGlobals: {chartHome: charts}\n"), set(component, "kind: Component\nresources:\n"+strings.Repeat("- https://example.com/a\n", 1_500))),
			[]string{eu1, eu2, us1, us2}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, tree := compileTree(t, regions()), regions()
			c.change(tree)
			after := compileTree(t, tree)
			checkUntouched(t, before, after, c.failed)
			checkReuse(t, regions(), tree)
			for _, cluster := range c.failed {
				if why := reason(after, before, cluster); !strings.Contains(why, c.why) {
					t.Errorf("cluster %q fails because of %q, want %q", cluster, why, c.why)
				}
			}
			if got := problemsOf(t, tree); !strings.Contains(got, c.why) {
				t.Errorf("problems = %q, want one with %q", got, c.why)
			}
		})
	}
}

// overlayOfUS gives the clusters in the US an overlay of their own, with some more lines.
func overlayOfUS(more string) func(fstest.MapFS) {
	return all(replace("fleet.yaml", "{size: large}}, overlay: overlays/large", "{region: us}}, overlay: overlays/us"),
		set("overlays/us/kustomization.yaml", "resources: [../../base]\n"+more))
}

func compileTree(t *testing.T, tree fs.FS) fleet.Repo {
	t.Helper()
	repo, err := render.Renderer{}.Compile(context.Background(), tree)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// checkUntouched checks that a tree has no fault of the whole fleet, and the same answers
// as before for every cluster except those that failed.
func checkUntouched(t *testing.T, before, after fleet.Repo, failed []string) {
	t.Helper()
	if after.Failed() {
		t.Errorf("Failed() = true with %v", after.Problems())
	}
	want, got := sets(t, before), sets(t, after)
	for _, name := range failed {
		delete(want, name)
	}
	if !maps.EqualFunc(got, want, maps.Equal) {
		t.Errorf("answers = %v, want %v", got, want)
	}
}

// sets returns the answers of all clusters that have some. The others must have a fault.
func sets(t *testing.T, repo fleet.Repo) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for _, c := range repo.Clusters() {
		rendering, problems := repo.Render(context.Background(), c, nil, nil)
		if (rendering == nil) != (len(problems.Faults()) > 0) {
			t.Errorf("cluster %q: rendering = %v with faults %v", c.Name, rendering, problems.Faults())
		}
		if rendering == nil {
			continue
		}
		all[c.Name] = map[string]string{}
		for set, input := range rendering.Inputs {
			all[c.Name][set] = string(input.JSON())
		}
	}
	return all
}

// reason returns why a cluster of an earlier tree fails in a later one.
func reason(repo, earlier fleet.Repo, cluster string) string {
	named := func(c *fleet.Cluster) bool { return c.Name == cluster }
	if at := slices.IndexFunc(repo.Clusters(), named); at >= 0 {
		_, problems := repo.Render(context.Background(), repo.Clusters()[at], nil, nil)
		return problems.Faults().Error()
	}
	var before *fleet.Cluster
	if at := slices.IndexFunc(earlier.Clusters(), named); at >= 0 {
		before = earlier.Clusters()[at]
	}
	if p := (&fleet.Compiled{Repo: repo}).IsUnreadable(cluster, before); p != nil {
		return p.String()
	}
	return "nothing: it has vanished"
}

// TestFaultsOfTheWholeFleet has faults that may concern every cluster.
func TestFaultsOfTheWholeFleet(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(fstest.MapFS){
		"no fleet.yaml":        func(m fstest.MapFS) { delete(m, "fleet.yaml") },
		"syntax":               set("fleet.yaml", "spec: {a: [\n"),
		"unknown field":        replace("fleet.yaml", "placement:", "placements:"),
		"selector":             replace("fleet.yaml", "matchLabels: {region: eu}", "matchLabels: {region: -eu-}"),
		"components of a rule": replace("fleet.yaml", "components: [components/eu]", "components: [5]"),
		"overlay of a rule":    replace("fleet.yaml", "overlay: overlays/large", "overlay: {}"),
		"guard":                replace("fleet.yaml", "  placement:", "  guard: {removedPerFleet: all}\n  placement:"),
		"schema":               set("schemas/app.json", "{"),
		"ResourceSet":          set("resourcesets/a.yaml", "kind: ResourceSet\n"),
		"more faults than reported": func(m fstest.MapFS) {
			m["fleet.yaml"].Data = append(m["fleet.yaml"].Data, strings.Repeat("  - {selector: {matchLabels: {region: mars}}, overlay: absent}\n", 1_000)...)
			m["fleet.yaml"].Data = append(m["fleet.yaml"].Data, "  - {selector: {matchLabels: {region: -eu-}}, overlay: base}\n"...)
		},
	} {
		tree := regions()
		change(tree)
		if repo := compileTree(t, tree); !repo.Failed() {
			t.Errorf("%s: Failed() = false with %v", name, repo.Problems())
		}
	}
	if compileTree(t, regions()).Failed() {
		t.Error("Failed() = true without a fault")
	}
}

// TestHugeAndPanickingFilesConcernDependentClustersOnly is the same property for files
// that are too large, and files on which the process panics.
func TestHugeAndPanickingFilesConcernDependentClustersOnly(t *testing.T) {
	t.Parallel()
	for file, failed := range map[string][]string{
		"clusters/eu/eu-2.yaml":            {"eu-2"},
		"components/eu/eu.yaml":            {"eu-1", "eu-2"},
		"components/eu/kustomization.yaml": {"eu-1", "eu-2"},
	} {
		before := compileTree(t, regions())
		for want, tree := range map[string]fs.FS{"at most 16 MiB": huge{regions(), t, file}, "boom": panicking{regions(), file}} {
			after := compileTree(t, tree)
			checkUntouched(t, before, after, failed)
			for _, cluster := range failed {
				if why := reason(after, before, cluster); !strings.Contains(why, want) {
					t.Errorf("cluster %q fails because of %q where %s is wrong, want %q", cluster, why, file, want)
				}
			}
		}
	}
}

// TestVanishedClusterIsNotBroken checks that a cluster whose document is gone is
// distinguished from one whose document cannot be read.
func TestVanishedClusterIsNotBroken(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(fstest.MapFS){
		"file":                func(m fstest.MapFS) { delete(m, "clusters/us.yaml") },
		"document":            set("clusters/us.yaml", member("us-2", "us")),
		"beside a broken one": set("clusters/us.yaml", member("us-2", "us")+"  dsn: a.b\n"),
	} {
		before, tree := compileTree(t, regions()), regions()
		change(tree)
		if got := reason(compileTree(t, tree), before, "us-1"); got != "nothing: it has vanished" {
			t.Errorf("%s: cluster us-1 fails because of %q", name, got)
		}
	}
}

// checkReuse compares a Renderer that has compiled an earlier tree with one that has not.
func checkReuse(t *testing.T, earlier, tree fstest.MapFS) {
	t.Helper()
	renderer, fresh := render.NewRenderer(), compileTree(t, tree)
	for i, revision := range []fstest.MapFS{earlier, tree, tree} {
		repo, err := renderer.Compile(context.Background(), revision)
		if err != nil {
			t.Fatal(err)
		}
		got := sets(t, repo) // Render reads files as well
		if i == 0 {
			continue
		}
		if want := sets(t, fresh); !maps.EqualFunc(got, want, maps.Equal) {
			t.Errorf("answers after another revision = %v, want %v", got, want)
		}
		if !slices.Equal(repo.Problems(), fresh.Problems()) || !maps.Equal(repo.Broken(), fresh.Broken()) {
			t.Errorf("problems after another revision = %v, want %v", repo.Problems(), fresh.Problems())
		}
		if !slices.EqualFunc(repo.Clusters(), fresh.Clusters(), func(a, b *fleet.Cluster) bool { return reflect.DeepEqual(a, b) }) {
			t.Errorf("clusters after another revision = %v, want %v", repo.Clusters(), fresh.Clusters())
		}
	}
}

// TestUnchangedClusterFileLosesItsComponent removes what an unchanged cluster file names.
func TestUnchangedClusterFileLosesItsComponent(t *testing.T) {
	t.Parallel()
	earlier := regions()
	all(replace("clusters/eu/eu-2.yaml", "spec:", "spec:\n  components: [components/own]"),
		set("components/own/kustomization.yaml", "kind: Component\n"))(earlier)
	tree := maps.Clone(earlier)
	delete(tree, "components/own/kustomization.yaml")
	checkReuse(t, earlier, tree)
	if _, broken := compileTree(t, tree).Broken()["eu-2"]; !broken {
		t.Error("a cluster without its component is not broken")
	}
}

// TestClusterFileMoves renames a cluster file.
func TestClusterFileMoves(t *testing.T) {
	t.Parallel()
	tree := regions()
	tree["clusters/moved.yaml"] = tree["clusters/us.yaml"]
	delete(tree, "clusters/us.yaml")
	checkReuse(t, regions(), tree)
}

// panicking panics when a file is read, as a library may on its content.
type panicking struct {
	fstest.MapFS
	name string
}

func (e panicking) ReadFile(name string) ([]byte, error) {
	if name == e.name {
		panic("boom")
	}
	return e.MapFS.ReadFile(name)
}

var _ fs.ReadFileFS = panicking{}

func TestPanicIsAFault(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fleet.yaml", "clusters/one.yaml", "base/kustomization.yaml", "base/all.yaml"} {
		got := problemsOf(t, panicking{small(apps(1, "a: b")), name})
		if !strings.Contains(got, "boom") {
			t.Errorf("problems where reading %s panics = %q, want them to say so", name, got)
		}
	}
}
