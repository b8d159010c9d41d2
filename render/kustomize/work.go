package kustomize

import (
	"bytes"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
)

// The work of a build, in comparisons of two objects, of which kustomize makes a few million
// in a second. It compares each object with all before it on each level of kustomizations,
// and for the objects of some kinds looks for what refers to them. A patch of an object takes
// hundreds of times as long, because the object is written and read.
//
// kustomize cannot be stopped, so the work is estimated before. 4,000 objects in a base, with
// an overlay that patches all of them five times, are within the bound.
const (
	maxComparisons = 60_000_000
	referenceCost  = 4   // for each two objects that may refer to each other
	patchCost      = 500 // for each object that a patch selects
	scanCost       = 4   // for each object that a patch looks at
	passCost       = 40  // for each object, of anything else that goes through all
	// exactFrom is the estimate from which it is worth reading all files.
	exactFrom = maxComparisons / 8
)

// load is what a directory makes kustomize do.
type load struct {
	objects     int // at most
	comparisons int // with all that it leads to
	patches     []selection
	passes      int
	renames     bool // changes names, so that references are looked for
	changes     bool // may change kinds and names so that selections are unknown
	exact       *tally
}

// selection is what a patch selects: all objects, or only those of a kind or a name.
type selection struct{ kind, name string }

// tally counts the objects that a directory leads to.
type tally struct {
	objects, named int
	kinds, names   map[string]int
}

func (t *tally) add(other *tally) {
	t.objects += other.objects
	t.named += other.named
	for kind, n := range other.kinds {
		t.kinds[kind] += n
	}
	for name, n := range other.names {
		t.names[name] += n
	}
}

func newTally() *tally { return &tally{kinds: map[string]int{}, names: map[string]int{}} }

// ownLoad returns what a kustomization does itself.
func (v *Vetting) ownLoad(dir string, k *types.Kustomization) load {
	own := load{
		objects: len(k.ConfigMapGenerator) + len(k.SecretGenerator),
		renames: k.NamePrefix+k.NameSuffix != "" || len(k.ConfigMapGenerator)+len(k.SecretGenerator) > 0,
		passes:  len(k.Images) + len(k.Replicas) + len(k.Labels) + len(k.Vars) + len(k.Configurations) + len(k.Crds),
	}
	for _, p := range slices.Concat(k.Patches, k.PatchesJson6902) {
		own.changes = own.changes || p.Options != nil && (p.Options.AllowNameChange || p.Options.AllowKindChange)
		if p.Target != nil {
			own.patches = append(own.patches, selection{literal(p.Target.Kind), literal(p.Target.Name)})
			continue
		}
		own.addNamed(v.documentsOf(dir, p.Path, p.Patch))
	}
	for _, p := range k.PatchesStrategicMerge {
		own.addNamed(v.documentsOf(dir, string(p), string(p)))
	}
	for _, r := range k.Replacements {
		for _, t := range r.Targets {
			own.passes += (1 + len(t.Reject)) * max(1, len(t.FieldPaths))
		}
		own.passes += v.documentsOf(dir, r.Path, "")
	}
	return own
}

// addNamed adds strategic merge patches that each name their object.
func (l *load) addNamed(patches int) {
	for range patches {
		l.patches = append(l.patches, selection{name: "\x00"}) // one object; no two have a name and a kind in common
	}
}

// documentsOf returns how many documents there are in a file, or in the text where there is
// no such file, at most.
func (v *Vetting) documentsOf(dir, file, text string) int {
	data := []byte(text)
	if clean, inside := InTree(dir, file); file != "" && inside {
		if read, err := ReadFile(v.tree, clean); err == nil {
			data = read
		}
	}
	return 1 + bytes.Count(data, []byte("\n---")) + bytes.Count(data, []byte("- select"))
}

// weigh adds what a directory leads to, and sets its comparisons.
func (v *Vetting) weigh(d *vettedDir) {
	for _, next := range d.leads {
		d.load.objects += next.load.objects
		d.load.changes = d.load.changes || next.load.changes
		if next.kind == types.ComponentKind { // does what it does to all objects here
			d.load.patches = append(d.load.patches, next.load.patches...)
			d.load.passes += next.load.passes
			d.load.renames = d.load.renames || next.load.renames
		}
	}
	if d.load.comparisons = d.comparisons(nil); d.load.comparisons > exactFrom {
		d.load.comparisons = d.comparisons(v.tally(d))
	}
}

// checkWork refuses a directory that would keep kustomize at work for too long.
func (v *Vetting) checkWork(d *vettedDir, file string) {
	if d.load.comparisons > maxComparisons {
		objects := d.load.objects
		if d.load.exact != nil {
			objects = d.load.exact.objects
		}
		v.problem(reference{file: file}, "leads to %d objects and %d patches that select among them, which takes kustomize about %d million comparisons; a build may take %d million: "+
			"place clusters on smaller overlays, or let patches select by kind", objects, len(d.load.patches), d.load.comparisons/1_000_000, maxComparisons/1_000_000)
	}
}

// comparisons returns the work of a directory; without a tally at most.
func (d *vettedDir) comparisons(t *tally) int {
	const most = 1 << 40
	n := d.load.objects
	named := n
	if t != nil {
		n, named = t.objects, t.named
	}
	work := n*n/2 + n*d.load.passes*passCost
	if d.load.renames {
		work += named * named * referenceCost
	}
	for _, p := range d.load.patches {
		selected := n
		switch {
		case p.name == "\x00":
			selected = min(1, n)
		case t == nil || d.load.changes:
		case p.kind != "" && p.name != "":
			selected = min(t.kinds[p.kind], t.names[p.name])
		case p.kind != "":
			selected = t.kinds[p.kind]
		case p.name != "":
			selected = t.names[p.name]
		}
		work = min(work+selected*patchCost+n*scanCost, most)
	}
	for _, next := range d.leads {
		work = min(work+next.load.comparisons, most)
	}
	return work
}

// tally reads all files that a directory leads to.
func (v *Vetting) tally(d *vettedDir) *tally {
	if d.load.exact != nil {
		return d.load.exact
	}
	t := newTally()
	d.load.exact = t
	if d.dir == "" && len(d.files) == 1 {
		t.read(v.tree, d.files[0])
		return t
	}
	generated := d.load.objects
	for _, next := range d.leads {
		generated -= next.load.objects
		t.add(v.tally(next))
	}
	t.objects, t.named = t.objects+generated, t.named+generated
	t.kinds["ConfigMap"], t.kinds["Secret"] = t.kinds["ConfigMap"]+generated, t.kinds["Secret"]+generated
	return t
}

// fileLoad returns the load of a file of resources.
func fileLoad(data []byte) load {
	// A key may be written with escapes.
	n := min(bytes.Count(data, []byte("kind"))+bytes.Count(data, []byte(`\`)), 2*maxObjects)
	return load{objects: n, comparisons: n * n / 2}
}

// literal returns a regular expression that only matches itself; else "".
func literal(pattern string) string {
	if regexp.QuoteMeta(pattern) == pattern {
		return pattern
	}
	return ""
}

// read adds the objects of a file. What is not YAML is reported where kustomize reads it.
func (t *tally) read(tree fs.FS, file string) {
	data, err := ReadFile(tree, file)
	if err != nil || CheckYAML(file, data) != nil {
		return
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			return
		}
		t.count(doc.Content[0])
	}
}

func (t *tally) count(n *yaml.Node) {
	kind, items := Child(n, "kind"), Child(n, "items")
	switch {
	case kind == nil || t.objects > 2*maxObjects:
	case strings.HasSuffix(kind.Value, "List") && items != nil:
		for _, item := range items.Content {
			t.count(item)
		}
	default:
		t.objects++
		t.kinds[kind.Value]++
		if name := Child(Child(n, "metadata"), "name"); name != nil {
			t.names[name.Value]++
		}
		if slices.Contains(named, kind.Value) {
			t.named++
		}
	}
}
