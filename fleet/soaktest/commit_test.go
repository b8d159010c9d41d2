package soaktest

import (
	"maps"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// commit is what one revision of the fleet repo says: as little as has everything
// in it that may go wrong. The files that say so are made of it (tree_test.go), and
// what clusters are to get is computed from it (answer_test.go); neither knows the
// other.
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
}

// objects are the specs of objects by Kind/name.
type objects map[string]spec

type spec map[string]any

// overlay is what clusters of an environment have: the base, unless it is bare, with
// other tags, and an agent and a backup of its own.
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
	broken bool
	patch  objects // merged into those of that name, which must be there
}

func newCommit() *commit {
	c := &commit{
		sets: map[string]string{"App": "apps", "Job": "jobs", "Note": "notes"},
		base: objects{}, overlays: map[string]overlay{}, extras: component{objects: objects{}}, clusters: map[string]file{},
		guard: fleet.DefaultGuard(),
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

var environments = []string{"dev", "prod", "staging"}

// clone is a copy of which everything that a commit may change can be changed.
func (c *commit) clone() *commit {
	next := *c
	next.sets, next.base, next.overlays, next.clusters = maps.Clone(c.sets), maps.Clone(c.base), maps.Clone(c.overlays), maps.Clone(c.clusters)
	next.extras.objects = maps.Clone(c.extras.objects)
	next.waves = slices.Clone(c.waves)
	for name, o := range next.overlays {
		o.tags = maps.Clone(o.tags)
		next.overlays[name] = o
	}
	return &next
}

// mend takes back what is broken.
func (c *commit) mend() {
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

// tooMany replicas are more than the schema of apps allows.
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
