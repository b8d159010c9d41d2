package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the one kustomize applies patches with
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// patch is an entry of a cluster's patches, read once for all clusters that
// have the same. Either merges or ops is set.
type patch struct {
	source fleet.Patch
	merges []merge         // strategic merge patches
	ops    jsonpatch.Patch // a JSON patch, where it is not plain
	plain  []operation     // one of such operations
	target *target         // nil where each merge names its object
	// whole is true where nothing less than a build of the cluster is known to
	// mean the same: the patch may change what an object is called.
	whole bool
}

// kustomize is the patch as kustomize has it.
func (p *patch) kustomize() types.Patch { return kustomizePatch(p.source) }

// operations are those of a JSON patch.
func (p *patch) operations() (jsonpatch.Patch, error) {
	if p.ops != nil {
		return p.ops, nil
	}
	return decodeOps(strings.TrimSpace(p.source.Patch))
}

// merge is one strategic merge patch. Its value is kept as JSON, of which a fleet has as
// many as clusters: as values it takes ten times the memory.
type merge struct {
	id    resid.ResId
	text  []byte
	lists bool // it holds a list
	plain bool // it holds no null, no date and no directive
}

// target selects objects as kustomize's `target` does.
type target struct {
	pattern             *types.SelectorRegex
	labels, annotations labels.Selector
	// kind and name are those of the pattern that stand for themselves, which most do;
	// else "". They spare most objects the regular expressions.
	kind, name string
}

func (t *target) matches(o *object) bool {
	return (t.kind == "" || t.kind == o.id.Kind) && (t.name == "" || t.name == o.id.Name) && t.pattern.MatchNamespace(o.id.EffectiveNamespace()) && t.pattern.MatchName(o.id.Name) &&
		t.pattern.MatchGvk(o.id.Gvk) &&
		(t.labels.Empty() || t.labels.Matches(metadataOf(o, "labels"))) &&
		(t.annotations.Empty() || t.annotations.Matches(metadataOf(o, "annotations")))
}

func metadataOf(o *object, key string) labels.Set {
	meta, _ := o.values()["metadata"].(map[string]any)
	m, _ := meta[key].(map[string]any)
	set := make(labels.Set, len(m))
	for k, v := range m {
		set[k], _ = scalarText(v)
	}
	return set
}

// unusual marks text that kustomize treats in ways that the shortcuts do not
// know: aliases and merge keys, schema comments, its own annotations, which may
// hide an object from the result.
var unusual = regexp.MustCompile(`<<|[&*][\w-]|\$openapi|\$ref|config\.kubernetes\.io|config\.k8s\.io`)

// readPatch reads a patch with kustomize. The caller is in withKustomize.
func readPatch(p fleet.Patch, known *memo) (*patch, error) {
	if wrong := checkYAML("patch", []byte(p.Patch)); wrong != nil {
		return nil, errors.New(wrong.Message)
	}
	out := &patch{source: p}
	text := strings.TrimSpace(p.Patch)
	out.whole = p.Options != fleet.PatchOptions{} || unusual.MatchString(text)
	resources, notMerge := newResources().RF().SliceFromBytes([]byte(text))
	if !surelyTaken(p.Target, text, len(resources), notMerge) {
		if err := configured(out.kustomize(), new(builtins.PatchTransformerPlugin)); err != nil {
			return nil, err
		}
	}
	if notMerge == nil && len(resources) == 0 {
		return out, nil // a comment, say; kustomize does not look at its target
	}
	var err error
	if out.target, err = targetOf(p.Target, known); err != nil {
		return nil, err
	}
	if notMerge != nil {
		return out, out.readOps(text)
	}
	if len(resources) > 1 && out.target != nil {
		return nil, errors.New("more than one patch stands under one target; give each an entry of its own")
	}
	for _, res := range resources {
		data, err := res.MarshalJSON()
		if err != nil {
			return nil, err
		}
		value, err := decodeJSON(data)
		if err != nil {
			return nil, err
		}
		m, usual, err := newMerge(res.OrgId(), value)
		if err != nil {
			return nil, err
		}
		m.plain = m.plain && !holdsTag(res.YNode())
		out.merges, out.whole = append(out.merges, m), out.whole || !usual
	}
	return out, nil
}

// surelyTaken tells that kustomize's transformer would take a patch of that text, which it
// reads as resources and as operations as well, and takes where just one of them can be
// read. To ask it takes as long as all the rest, for each patch of a fleet that starts.
func surelyTaken(on *fleet.Target, text string, resources int, notMerge error) bool {
	odd := func(c rune) bool { return c > '~' || c < ' ' && c != '\n' }
	if strings.ContainsFunc(text, odd) || on != nil && strings.ContainsFunc(fmt.Sprint(*on), odd) {
		return false // they come to kustomize in a document of their own, which may not have all characters
	}
	if notMerge == nil {
		// What begins so is no list of operations.
		return resources > 0 && (text[0] == '{' || text[0] >= 'A' && text[0] <= 'Z' || text[0] >= 'a' && text[0] <= 'z')
	}
	_, err := decodeOps(text)
	return text != "" && err == nil
}

func (p *patch) readOps(text string) error {
	if p.target == nil {
		return errors.New("a JSON patch needs a target: it does not say itself what it is for")
	}
	var err error
	if p.ops, err = decodeOps(text); err != nil {
		return err
	}
	for _, op := range p.ops {
		at, err := op.Path()
		p.whole = p.whole || err != nil || renames(at)
		if from, err := op.From(); err == nil {
			p.whole = p.whole || renames(from)
		}
	}
	if p.plain = plainOperations(p.ops); p.plain != nil {
		p.ops = nil
	}
	return nil
}

func decodeOps(text string) (jsonpatch.Patch, error) {
	data := []byte(text)
	if !strings.HasPrefix(text, "[") {
		var err error
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return nil, err
		}
	}
	return jsonpatch.DecodePatch(data)
}

// renames tells whether a JSON pointer leads to what an object is called, to
// annotations, which kustomize rewrites after a JSON patch, or to all of it.
func renames(pointer string) bool {
	parts := strings.Split(pointer, "/")
	if len(parts) < 2 || parts[0] != "" {
		return true
	}
	switch parts[1] {
	case "metadata":
		return len(parts) < 3 || parts[2] != "labels"
	case "kind", "apiVersion":
		return true
	}
	return strings.Contains(parts[1], "~")
}

// newMerge takes out of a patch what kustomize restores after the merge. What
// is left of its metadata is usual where it sets labels and annotations to
// strings: kustomize rewrites those in the course of a build.
func newMerge(id resid.ResId, value map[string]any) (m merge, usual bool, err error) {
	delete(value, "apiVersion")
	delete(value, "kind")
	usual = true
	if meta, ok := value["metadata"].(map[string]any); ok {
		delete(meta, "name")
		delete(meta, "namespace")
		for key := range meta {
			usual = usual && (key == "labels" || key == "annotations") && textMap(meta, key)
		}
		if len(meta) == 0 {
			delete(value, "metadata")
		}
	}
	m = merge{id: id, plain: true}
	m.inspect(value)
	m.text, err = encode(value)
	return m, usual, err
}

// holdsTag looks at the nodes, because once they are JSON a null that is written
// as nothing can be an empty string, and a date has become another text, which it
// does not where it takes the place of a text in quotes.
func holdsTag(n *kyaml.Node) bool {
	return n.Kind == kyaml.ScalarNode && (n.Tag == kyaml.NodeTagNull || n.Tag == "!!timestamp") ||
		slices.ContainsFunc(n.Content, holdsTag)
}

func (m *merge) inspect(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			m.plain = m.plain && !strings.HasPrefix(key, "$")
			m.inspect(child)
		}
	case []any:
		m.lists = true
		for _, child := range v {
			m.inspect(child)
		}
	}
}

// targetOf is the target of a patch; nil where it has none. Each is made once, because its
// regular expressions take a hundred times the memory of the patch.
func targetOf(t *fleet.Target, known *memo) (*target, error) {
	if t == nil {
		return nil, nil
	}
	if made, ok := known.load(*t); ok {
		return made.(*target), nil
	}
	made, err := newTarget(kustomizePatch(fleet.Patch{Target: t}).Target)
	if err != nil {
		return nil, err
	}
	return known.share(*t, made, maxMemo).(*target), nil
}

func newTarget(s *types.Selector) (*target, error) {
	pattern, err := types.NewSelectorRegex(s)
	if err != nil {
		return nil, err
	}
	t := &target{pattern: pattern, kind: literal(s.Kind), name: literal(s.Name)}
	if t.labels, err = labels.Parse(s.LabelSelector); err != nil {
		return nil, err
	}
	t.annotations, err = labels.Parse(s.AnnotationSelector)
	return t, err
}

// literal is a regular expression that stands for itself alone; else "".
func literal(pattern string) string {
	if regexp.QuoteMeta(pattern) == pattern {
		return pattern
	}
	return ""
}

func kustomizePatch(p fleet.Patch) types.Patch {
	out := types.Patch{Patch: p.Patch}
	if t := p.Target; t != nil {
		out.Target = &types.Selector{LabelSelector: t.LabelSelector, AnnotationSelector: t.AnnotationSelector}
		out.Target.Group, out.Target.Version, out.Target.Kind = t.Group, t.Version, t.Kind
		out.Target.Name, out.Target.Namespace = t.Name, t.Namespace
	}
	if p.Options != (fleet.PatchOptions{}) {
		out.Options = &types.PatchArgs{AllowNameChange: p.Options.AllowNameChange, AllowKindChange: p.Options.AllowKindChange}
	}
	return out
}

// configured gives a patch to kustomize's own transformer.
func configured(p types.Patch, plugin *builtins.PatchTransformerPlugin) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return plugin.Config(resmap.NewPluginHelpers(nil, nil, newResources(), nil), data)
}
