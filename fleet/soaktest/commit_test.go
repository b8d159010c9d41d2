package soaktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// commit is what one revision of the fleet repo says: as little as it takes to have everything that can
// go wrong. Its files are made by tree.
type commit struct {
	revision   string
	unreadable bool               // fleet.yaml is
	sets       map[string]string  // by kind, the name of the set that serves it
	base       objects            // of every cluster
	overlays   map[string]overlay // by environment
	extras     component          // of clusters with the label tier: gold
	clusters   map[string]file
	guard      fleet.Guard
	waves      []fleet.WaveRule
	approves   []string // digests of impacts, in its message
}

// objects are the specs of objects by Kind/name.
type objects map[string]spec

type spec map[string]any

// overlay is what clusters of an environment have: the base, unless it is bare, with other tags, and an
// agent and a backup of the environment's own.
type overlay struct {
	bare bool
	tags map[string]string // by object
}

type component struct {
	broken  bool
	objects objects
}

// file is what the file of a cluster says.
type file struct {
	labels map[string]string
	dns    string // empty for none
	broken bool
	patch  objects // merged into the objects of those names, which must exist
}

func newCommit() *commit {
	c := &commit{
		sets: map[string]string{"App": "apps", "Job": "jobs", "Note": "notes"},
		base: objects{}, overlays: map[string]overlay{}, extras: component{objects: objects{}}, clusters: map[string]file{},
		guard: firstGuard(),
		waves: []fleet.WaveRule{
			{Name: "canary", Selector: fleet.Selector{MatchLabels: map[string]string{"ring": "canary"}}, Polled: 50},
			{Name: "early", Selector: fleet.Selector{MatchLabels: map[string]string{"ring": "early"}}, Polled: 80, Soak: 10 * time.Minute},
		},
	}
	for _, name := range []string{"web", "db", "cache", "queue", "mail"} {
		c.base["App/"+name] = spec{"tag": "v1", "replicas": 1, "env": map[string]any{"a": "1", "b": "2"}}
	}
	c.base["Job/clean"], c.base["Job/report"] = spec{"tag": "v1"}, spec{"tag": "v1"}
	c.base["Note/welcome"] = spec{"text": "hello"}
	for _, environment := range environments {
		c.overlays[environment] = overlay{tags: map[string]string{}}
	}
	for _, name := range []string{"logs", "metrics", "traces", "alerts"} {
		c.extras.objects["App/"+name] = spec{"tag": "v1", "replicas": 1}
	}
	return c
}

// firstGuard lets objects vanish everywhere, so that not every removal has to be approved.
func firstGuard() fleet.Guard {
	g := fleet.DefaultGuard()
	g.RemovedEverywhere = fleet.Limit{N: 100, Percent: true}
	return g
}

var environments = []string{"dev", "prod", "staging"}

// clone returns a copy that shares nothing that a commit may change.
func (c *commit) clone() *commit {
	next := *c
	next.sets, next.base, next.overlays, next.clusters = maps.Clone(c.sets), maps.Clone(c.base), maps.Clone(c.overlays), maps.Clone(c.clusters)
	next.extras.objects = maps.Clone(c.extras.objects)
	next.waves, next.approves = slices.Clone(c.waves), nil
	for name, o := range next.overlays {
		o.tags = maps.Clone(o.tags)
		next.overlays[name] = o
	}
	return &next
}

// repair repairs what is broken.
func (c *commit) repair() {
	c.unreadable, c.extras.broken = false, false
	for name, o := range c.overlays {
		o.bare = false
		c.overlays[name] = o
	}
	for name, f := range c.clusters {
		f.broken = false
		f.patch = maps.Clone(f.patch)
		for object, patch := range f.patch {
			if _, there := c.base[object]; !there || patch["replicas"] == tooMany {
				delete(f.patch, object)
			}
		}
		c.clusters[name] = f
	}
	for name, s := range c.base {
		if s["replicas"] == tooMany {
			c.base[name] = s.with("replicas", 1)
		}
	}
}

// tooMany is more replicas than the schema of apps allows.
const tooMany = 99

func (s spec) with(key string, value any) spec {
	s = maps.Clone(s)
	s[key] = value
	return s
}

// ofOverlay returns an environment's own objects.
func ofOverlay(environment string) objects {
	return objects{"App/" + environment + "-agent": {"tag": "v1", "replicas": 1}, "Job/" + environment + "-backup": {"tag": "v1"}}
}

// tree returns the files of a commit, as JSON, which is YAML too.
func (c *commit) tree() fstest.MapFS {
	t := fstest.MapFS{}
	put := func(path, content string) { t[path] = &fstest.MapFile{Data: []byte(content)} }
	put("fleet.yaml", c.fleetFile())
	put("schemas/app.json", `{"type": "object", "required": ["tag"], "properties": {"replicas": {"type": "integer", "maximum": 9}}}`)
	put("base/kustomization.yaml", kustomization(c.base, "", nil, nil))
	for path, content := range c.base.files("base") {
		put(path, content)
	}
	for environment, o := range c.overlays {
		dir := "overlays/" + environment
		base := []string{"../../base"}
		if o.bare {
			base, o.tags = nil, nil
		}
		put(dir+"/kustomization.yaml", kustomization(ofOverlay(environment), "", base, o.tags))
		for path, content := range ofOverlay(environment).files(dir) {
			put(path, content)
		}
	}
	put("components/extras/kustomization.yaml", kustomization(c.extras.objects, "Component", nil, nil))
	for path, content := range c.extras.objects.files("components/extras") {
		if c.extras.broken {
			content = "{ no YAML"
		}
		put(path, content)
	}
	for name, f := range c.clusters {
		put("clusters/"+name+".yaml", f.document(name))
	}
	return t
}

// snapshot returns a commit as a source has it.
func (c *commit) snapshot() *fleet.Snapshot {
	return &fleet.Snapshot{Revision: c.revision, Tree: c.tree(), Commit: &fleet.Commit{Author: "ann", Approves: c.approves}}
}

func (c *commit) fleetFile() string {
	if c.unreadable {
		return "kind: Fleet\nspec: [of, nothing]\n"
	}
	var inputs, waves []any
	for _, kind := range slices.Sorted(maps.Keys(c.sets)) {
		set := map[string]any{"name": c.sets[kind], "kind": kind}
		switch kind {
		case "App":
			set["schema"] = "schemas/app.json"
		case "Note":
			set["allowEmpty"] = true
		}
		inputs = append(inputs, set)
	}
	var placement []any
	for _, environment := range environments {
		placement = append(placement, map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"environment": environment}}, "overlay": "overlays/" + environment,
		})
	}
	placement = append(placement, map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"tier": "gold"}}, "components": []string{"components/extras"},
	})
	for _, w := range c.waves {
		wave := map[string]any{"name": w.Name, "selector": w.Selector, "soak": w.Soak.String(), "polled": w.Polled}
		if w.Manual {
			wave["gate"] = "manual"
		}
		waves = append(waves, wave)
	}
	protected := []any{}
	for _, one := range c.guard.Protected {
		protected = append(protected, map[string]any{"kind": one.Kind})
	}
	s := map[string]any{"inputs": inputs, "placement": placement, "guard": map[string]any{
		"removedPerCluster": c.guard.RemovedPerCluster, "removedPerFleet": c.guard.RemovedPerFleet, "failingClusters": c.guard.FailingClusters,
		"removedEverywhere": c.guard.RemovedEverywhere, "orphanedClusters": c.guard.OrphanedClusters, "window": c.guard.Window.String(), "protected": protected,
		"allowEmptySets": c.guard.AllowEmptySets, "allowVanishedSets": c.guard.AllowVanishedSets, "allowOrphanedParts": c.guard.AllowStaleParts,
		"allowReownedNames": c.guard.AllowReownedNames, "approveByTrailer": c.guard.ApproveByTrailer,
	}}
	if len(waves) > 0 {
		s["rollout"] = map[string]any{"waves": waves}
	}
	return document("tributary/v1alpha1", "Fleet", map[string]any{"name": "soak"}, s)
}

func (f file) document(name string) string {
	if f.broken {
		return document("tributary/v1alpha1", "Cluster", map[string]any{"name": name}, map[string]any{"patches": "none"})
	}
	s := map[string]any{}
	if f.dns != "" {
		s["dns"] = f.dns
	}
	var patches []any
	for _, object := range slices.Sorted(maps.Keys(f.patch)) {
		patches = append(patches, map[string]any{"patch": objectDocument(object, f.patch[object])})
	}
	if len(patches) > 0 {
		s["patches"] = patches
	}
	return document("tributary/v1alpha1", "Cluster", map[string]any{"name": name, "labels": f.labels}, s)
}

// dnsOf returns the dns that a cluster has first.
func dnsOf(cluster string) string { return cluster + ".example.com" }

// kustomization returns a kustomization.yaml with the files of objects and more resources, and tags.
func kustomization(o objects, kind string, more []string, tags map[string]string) string {
	k := map[string]any{"resources": append(more, o.names()...)}
	if kind != "" {
		k["apiVersion"], k["kind"] = "kustomize.config.k8s.io/v1alpha1", kind
	}
	var patches []any
	for _, object := range slices.Sorted(maps.Keys(tags)) {
		patches = append(patches, map[string]any{"patch": objectDocument(object, spec{"tag": tags[object]})})
	}
	if len(patches) > 0 {
		k["patches"] = patches
	}
	return encode(k)
}

func (o objects) names() []string {
	var names []string
	for _, object := range slices.Sorted(maps.Keys(o)) {
		names = append(names, fileOf(object))
	}
	return names
}

func (o objects) files(dir string) map[string]string {
	files := map[string]string{}
	for object, s := range o {
		files[dir+"/"+fileOf(object)] = objectDocument(object, s)
	}
	return files
}

func fileOf(object string) string {
	return strings.ToLower(strings.ReplaceAll(object, "/", "-")) + ".yaml"
}

func objectDocument(object string, s spec) string {
	kind, name, _ := strings.Cut(object, "/")
	return document("example.com/v1", kind, map[string]any{"name": name}, s)
}

func document(apiVersion, kind string, metadata map[string]any, spec any) string {
	return encode(map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "spec": spec})
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprint("a commit is not JSON: ", err))
	}
	return string(text)
}
