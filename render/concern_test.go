package render_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

// regions is a fleet of two clusters in the EU, which share a component, and two in
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

// set returns a change of a tree: a file with that text.
func set(name, text string) func(fstest.MapFS) {
	return func(tree fstest.MapFS) { tree[name] = &fstest.MapFile{Data: []byte(text)} }
}

// replace returns one of a text in a file.
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

// TestFaultsStayWhereTheyAre holds that a fault keeps those clusters from the revision
// that depend on what has it, with the reason, and that all others get the bytes that
// they get without it.
func TestFaultsStayWhereTheyAre(t *testing.T) {
	const eu1, eu2, us1, us2 = "eu-1", "eu-2", "us-1", "us-2"
	const eu2File, component = "clusters/eu/eu-2.yaml", "components/eu/kustomization.yaml"
	patch := func(text string) func(fstest.MapFS) {
		return set(eu2File, member(eu2, "eu")+"  patches:\n  - "+text+"\n")
	}
	for name, c := range map[string]struct {
		change func(fstest.MapFS)
		failed []string // who it keeps back
		why    string   // is part of what is told to each
	}{
		"syntax of a cluster file":     {set(eu2File, "metadata: {name: eu-2\n"), []string{eu2}, eu2File},
		"no cluster in a file":         {set(eu2File, "# soon\n"), []string{eu2}, "has no cluster"},
		"bomb in a cluster file":       {set(eu2File, strings.Repeat("[", 300)+strings.Repeat("]", 300)), []string{eu2}, eu2File},
		"one document of two":          {replace("clusters/us.yaml", "dns: us-2", "dsn: us-2"), []string{us2}, "spec.dsn: unknown field"},
		"name of one document of two":  {replace("clusters/us.yaml", "name: us-2", "name: US_2"), []string{us2}, `"US_2" must be`},
		"name that stands twice":       {replace("clusters/us.yaml", "name: us-2", "name: us-3, name: us-2"), []string{us2}, "repeats the key of line"},
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
		"patch that empties a set":       {patch("{target: {kind: App}, patch: '{$patch: delete, apiVersion: a/v1, kind: App, metadata: {name: any}}'}"), []string{eu2}, "is empty"},
		"resource that is there already": {set(eu2File, member(eu2, "eu")+"  resources:\n  - {apiVersion: example.com/v1, kind: App, metadata: {name: eu}}\n"), []string{eu2}, "already"},
		"name of another":                {set("clusters/new.yaml", member(us1, "eu")), []string{us1}, `"us-1" is already used`},
		"name of a broken one":           {all(replace("clusters/us.yaml", "dns: us-1", "dsn: us-1"), set("clusters/new.yaml", member(us1, "eu"))), []string{us1}, "us-1"},
		"dns of another":                 {replace(eu2File, "dns: eu-2", "dns: us-1"), []string{eu2, us1}, `"us-1.example.com" is already used`},
		"dns of a nameless one":          {set("clusters/new.yaml", strings.ReplaceAll(member("us-1", "eu"), "name: us-1", "name: -")), []string{us1}, `"us-1.example.com" is already used`},
		"syntax of a component":          {set("components/eu/eu.yaml", "spec: {replicas: 2\n"), []string{eu1, eu2}, "components/eu"},
		"schema and a component":         {replace("components/eu/eu.yaml", "replicas: 2", "replicas: 20"), []string{eu1, eu2}, "components/eu/eu.yaml:4: spec.replicas: App/eu"},
		"remote file of a component":     {replace(component, "eu.yaml", `"https://example.com/eu.yaml"`), []string{eu1, eu2}, component},
		"openapi of a component":         {replace(component, "resources", "openapi: {path: eu.yaml}\nresources"), []string{eu1, eu2}, component},
		"empty file of a component":      {set("components/eu/eu.yaml", "\n"), []string{eu1, eu2}, "is empty"},
		"link of a component":            {link("components/eu/eu.yaml", "../../../etc/passwd"), []string{eu1, eu2}, component},
		"component that is gone": {all(func(m fstest.MapFS) { delete(m, component); delete(m, "components/eu/eu.yaml") }),
			[]string{eu1, eu2}, `fleet.yaml:9: spec.placement[1].components[0]: "components/eu": does not exist`},
		"overlay that is gone":   {replace(eu2File, "region: eu", "region: eu, size: large"), []string{eu2}, "spec.placement[2].overlay"},
		"overlay out of a rule":  {all(replace("fleet.yaml", "overlays/large", "/etc"), replace(eu2File, "region: eu", "region: eu, size: large")), []string{eu2}, "leads out of the fleet repo"},
		"overlay does not build": {all(set("overlays/large/kustomization.yaml", "resources: [../../base, ../../base]\n"), replace(eu2File, "region: eu", "region: eu, size: large")), []string{eu2}, "overlays/large: kustomize build"},
		"base of all":            {set("base/all.yaml", "no: [object\n"), []string{eu1, eu2, us1, us2}, "base"},
		"base of two overlays": {all(overlayOfUS(""), set("base/kustomization.yaml", "resources: [absent.yaml]\n")),
			[]string{eu1, eu2, us1, us2}, "base/kustomization.yaml:1: resources: absent.yaml: does not exist"},
		"more faults than told": {all(overlayOfUS("helmGlobals: {chartHome: charts}\n"), set(component, "kind: Component\nresources:\n"+strings.Repeat("- https://example.com/a\n", 1_500))),
			[]string{eu1, eu2, us1, us2}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before, tree := compileTree(t, regions()), regions()
			c.change(tree)
			after := compileTree(t, tree)
			checkUntouched(t, before, after, c.failed)
			checkRemembered(t, regions(), tree)
			for _, cluster := range c.failed {
				if why := reason(after, before, cluster); !strings.Contains(why, c.why) {
					t.Errorf("cluster %q is kept back by %q, want by %q", cluster, why, c.why)
				}
			}
			if got := problemsOf(t, tree); !strings.Contains(got, c.why) {
				t.Errorf("problems = %q, want one with %q", got, c.why)
			}
		})
	}
}

// overlayOfUS gives the clusters in the US an overlay of their own, with those lines more.
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

// checkUntouched holds that a tree has no fault of the whole fleet, and the same
// answers as before for every cluster but those that failed.
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

// sets are the answers of all clusters that have some. Who has none must be told why.
func sets(t *testing.T, repo fleet.Repo) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for _, c := range repo.Clusters() {
		rendering, problems := repo.Render(c, nil, nil)
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

// reason is what keeps a cluster of an earlier tree from a later one.
func reason(repo, earlier fleet.Repo, cluster string) string {
	named := func(c *fleet.Cluster) bool { return c.Name == cluster }
	if at := slices.IndexFunc(repo.Clusters(), named); at >= 0 {
		_, problems := repo.Render(repo.Clusters()[at], nil, nil)
		return problems.Faults().Error()
	}
	if p, broken := repo.Broken()[cluster]; broken {
		return p.String()
	}
	for _, c := range earlier.Clusters() {
		if p := repo.Unread(c.File); named(c) && p != nil {
			return p.String()
		}
	}
	return "nothing: it has vanished"
}

// TestFaultsOfTheWholeFleet are those of which nobody can tell whom they concern.
func TestFaultsOfTheWholeFleet(t *testing.T) {
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
		"more faults than told": func(m fstest.MapFS) {
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

// TestHugeAndExplosiveFilesStayWhereTheyAre is TestFaultsStayWhereTheyAre for what
// no text can say.
func TestHugeAndExplosiveFilesStayWhereTheyAre(t *testing.T) {
	for file, failed := range map[string][]string{
		"clusters/eu/eu-2.yaml":            {"eu-2"},
		"components/eu/eu.yaml":            {"eu-1", "eu-2"},
		"components/eu/kustomization.yaml": {"eu-1", "eu-2"},
	} {
		before := compileTree(t, regions())
		for want, tree := range map[string]fs.FS{"at most 16 MiB": huge{regions(), t, file}, "boom": explosive{regions(), file}} {
			after := compileTree(t, tree)
			checkUntouched(t, before, after, failed)
			for _, cluster := range failed {
				if why := reason(after, before, cluster); !strings.Contains(why, want) {
					t.Errorf("cluster %q is kept back by %q where %s is so, want %q", cluster, why, file, want)
				}
			}
		}
	}
}

// TestVanishedClusterIsNotBroken holds that a cluster whose document is gone is told
// from one whose document cannot be read.
func TestVanishedClusterIsNotBroken(t *testing.T) {
	for name, change := range map[string]func(fstest.MapFS){
		"file":                func(m fstest.MapFS) { delete(m, "clusters/us.yaml") },
		"document":            set("clusters/us.yaml", member("us-2", "us")),
		"beside a broken one": set("clusters/us.yaml", member("us-2", "us")+"  dsn: a.b\n"),
	} {
		before, tree := compileTree(t, regions()), regions()
		change(tree)
		if got := reason(compileTree(t, tree), before, "us-1"); got != "nothing: it has vanished" {
			t.Errorf("%s: cluster us-1 is kept back by %q", name, got)
		}
	}
}
