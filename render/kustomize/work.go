package kustomize

import (
	"bytes"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/render/yamltext"
)

// The work of a build, in comparisons of two objects, of which kustomize 0.21 makes three million or
// more in a second. It compares each object with all before it on each level of kustomizations, and
// with all others where a namespace is set. For each name in an object that may be a reference it
// looks through all objects once. A patch of an object takes hundreds of times as long as a
// comparison, because the object is written and read.
//
// kustomize cannot be stopped, so the work is estimated before. The bound is what takes about ten
// seconds: 3,900 objects in a base, patched five times or with other names, are within it.
const (
	maxComparisons = 33_000_000
	referenceCost  = 1   // for each reference and each object
	renamedCost    = 5   // the same, where objects have got other names or namespaces
	patchCost      = 500 // for each object that a patch selects
	scanCost       = 4   // for each object that a patch looks at
	passCost       = 40  // for each object, of anything else that goes through all
	// exactFrom is the estimate from which it is worth reading all files.
	exactFrom = maxComparisons / 8
)

// load is what a directory makes kustomize do.
type load struct {
	objects     int // at most
	references  int // at most
	layers      int // comparisons with all that it leads to, other than for references
	comparisons int // all
	patches     []selection
	passes      int
	namespaced  bool // sets the namespace of objects
	renames     bool // they have other names or namespaces than in their files
	changes     bool // may change kinds and names so that selections are unknown
	exact       *tally
}

// selection is what a patch selects: all objects, or only those of a kind or a name.
type selection struct{ kind, name string }

// tally counts the objects that a directory leads to.
type tally struct {
	objects, references int
	inFiles             int // objects that are read
	kinds, names        map[string]int
}

func (t *tally) add(other *tally) {
	t.objects += other.objects
	t.inFiles += other.inFiles
	t.references += other.references
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
		renames: k.NamePrefix+k.NameSuffix+k.Namespace != "" || len(k.ConfigMapGenerator)+len(k.SecretGenerator) > 0, namespaced: k.Namespace != "",
		passes: len(k.Images) + len(k.Replicas) + len(k.Labels) + len(k.Vars) + len(k.Configurations) + len(k.Crds),
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
		d.load.references += next.load.references
		d.load.changes = d.load.changes || next.load.changes
		d.load.renames = d.load.renames || next.load.renames
		if next.kind == types.ComponentKind { // does what it does to all objects here
			d.load.patches = append(d.load.patches, next.load.patches...)
			d.load.passes += next.load.passes
			d.load.namespaced = d.load.namespaced || next.load.namespaced
		}
	}
	d.load.layers, d.load.comparisons = d.comparisons(nil)
	if d.load.comparisons > exactFrom {
		d.load.layers, d.load.comparisons = d.comparisons(v.tally(d))
	}
}

// checkWork refuses a directory that would keep kustomize at work for too long. Where more objects
// would be read than a build may read, the build ends with that fault, and with the file.
func (v *Vetting) checkWork(d *vettedDir, file string) {
	if d.load.exact != nil && d.load.exact.inFiles > maxObjects {
		return
	}
	if d.load.comparisons > maxComparisons {
		objects := d.load.objects
		if d.load.exact != nil {
			objects = d.load.exact.objects
		}
		v.problem(reference{file: file}, "leads to %d objects and %d patches that select among them, which takes kustomize about %d million comparisons; a build may take %d million: "+
			"place clusters on smaller overlays, or let patches select by kind", objects, len(d.load.patches), d.load.comparisons/1_000_000, maxComparisons/1_000_000)
	}
}

// comparisons returns the work of a directory without what references take, and with it; without a
// tally at most. References are looked for once, in what the uppermost directory leads to.
func (d *vettedDir) comparisons(t *tally) (layers, all int) {
	const most = 1 << 40
	n, references := d.load.objects, d.load.references
	if t != nil {
		n, references = t.objects, t.references
	}
	work := n*n/2 + n*d.load.passes*passCost
	if d.load.namespaced {
		work += n * n
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
		work = min(work+next.load.layers, most)
	}
	cost := referenceCost
	if d.load.renames || d.load.changes {
		cost = renamedCost
	}
	return work, work + min(references, most/maxObjects)*n*cost
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
	t.objects += generated
	t.kinds["ConfigMap"], t.kinds["Secret"] = t.kinds["ConfigMap"]+generated, t.kinds["Secret"]+generated
	return t
}

// fileLoad returns the load of a file of resources.
func fileLoad(data []byte) load {
	escapes := bytes.Count(data, []byte(`\`)) // A key may be written with them.
	n := min(bytes.Count(data, []byte("kind"))+escapes, 2*maxObjects)
	references := bytes.Count(data, []byte("ame")) + escapes
	if bytes.Contains(data, []byte(" *")) && bytes.Contains(data, []byte("&")) {
		references = maxObjects * maxObjects // An alias may repeat any number of them.
	}
	return load{objects: n, references: references, layers: n * n / 2, comparisons: n * n / 2}
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
	if err != nil || yamltext.Check(file, data) != nil {
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
	kind, items := yamltext.Child(n, "kind"), yamltext.Child(n, "items")
	switch {
	case kind == nil || t.objects > 2*maxObjects:
	case strings.HasSuffix(kind.Value, "List") && items != nil:
		for _, item := range items.Content {
			t.count(item)
		}
	default:
		t.objects++
		t.inFiles++
		t.kinds[kind.Value]++
		if name := yamltext.Child(yamltext.Child(n, "metadata"), "name"); name != nil {
			t.names[name.Value]++
		}
		if slices.Contains(named, kind.Value) {
			t.references += references(n, "")
		}
	}
}

// notReferences are the fields whose items have names that refer to no object.
var notReferences = []string{"metadata", "containers", "initContainers", "ephemeralContainers", "ports", "volumeMounts", "volumeDevices", "volumes", "env"}

// references counts the names in a node of a field that may refer to other objects, in kustomize's
// default nameReference configuration.
func references(n *yaml.Node, field string) (count int) {
	switch n.Kind {
	case yaml.AliasNode:
		return references(n.Alias, field)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if item.Kind == yaml.ScalarNode && isNameField(field) {
				count++
			}
			count += references(item, field)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i].Value, n.Content[i+1]
			if value.Kind == yaml.ScalarNode && isNameField(key) && !(key == "name" && slices.Contains(notReferences, field)) {
				count++
			}
			count += references(value, key)
		}
	default:
	}
	return count
}

func isNameField(field string) bool {
	return strings.HasSuffix(field, "ame") || strings.HasSuffix(field, "ames")
}
