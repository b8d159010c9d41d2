// Package patch applies a cluster's patches and edits to single objects, many times
// faster than a kustomize build of the whole cluster and with exactly the same result.
//
//	p, err := patch.Read(source)
//	if p.NeedsBuild() {
//		// Only a build of the whole cluster gives the exact result.
//	}
//	for o := range objects that p.Selects {
//		after, err := p.Apply(o, nil)
//	}
//
// Where no fast way is known to be exact, Apply uses kustomize's own patch transformer on
// the object alone, and where that is not exact either, it returns ErrNeedsBuild.
package patch

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the library that kustomize applies patches with
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// ErrNeedsBuild reports that only a build of the whole cluster is known to give
// kustomize's result. It never reaches a user.
var ErrNeedsBuild = errors.New("needs a build of the whole cluster")

// Patch is an entry of a cluster's patches. It is immutable, and clusters that have the
// same patch share it.
type Patch struct {
	source fleet.Patch
	target *target // nil where each merge names its object
	// At most one of the following is set. For a comment, none is.
	merges     []Merge         // strategic merge patches
	operations []operation     // a JSON patch of simple operations
	jsonPatch  jsonpatch.Patch // any other JSON patch
	// needsBuild reports that the patch may change what an object is called, or has
	// something else that only a whole build handles.
	needsBuild bool
}

// Is reports whether the patch was read from that source.
func (p *Patch) Is(source fleet.Patch) bool { return p.source.Equal(source) }

// NeedsBuild reports whether Apply returns ErrNeedsBuild for every object.
func (p *Patch) NeedsBuild() bool { return p.needsBuild }

// HasTarget reports whether the patch selects its objects by a target.
func (p *Patch) HasTarget() bool { return p.target != nil }

// Selects reports whether the patch has a target that matches the object.
func (p *Patch) Selects(o *kustomize.Object) bool { return p.target != nil && p.target.matches(o) }

// Merges are the strategic merge patches. Without a target each names its object; with
// one there is at most one.
func (p *Patch) Merges() []Merge { return p.merges }

// Kustomize returns the patch in kustomize's form.
func (p *Patch) Kustomize() types.Patch { return Kustomize(p.source) }

// Kustomize returns a patch in kustomize's form.
func Kustomize(p fleet.Patch) types.Patch {
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

// Reader reads patches and remembers them, so that each distinct patch and target is read
// once. It is safe for concurrent use.
type Reader struct {
	patches *lru.Cache[content, result]
	targets *lru.Cache[fleet.Target, *target]
}

type result struct {
	patch *Patch
	err   error
}

// content is a patch without its line in the file.
type content struct {
	patch     string
	target    fleet.Target
	hasTarget bool
	options   fleet.PatchOptions
}

// NewReader returns a Reader that remembers that many patches, at least one.
func NewReader(size int) *Reader {
	r := &Reader{}
	r.patches, _ = lru.New[content, result](size) // the only error is a size of 0
	r.targets, _ = lru.New[fleet.Target, *target](size)
	return r
}

// Read reads a patch the way kustomize does.
func (r *Reader) Read(p fleet.Patch) (*Patch, error) {
	key := content{patch: p.Patch, options: p.Options}
	if p.Target != nil {
		key.target, key.hasTarget = *p.Target, true
	}
	if known, ok := r.patches.Get(key); ok {
		return known.patch, known.err
	}
	read, err := read(p, r.target)
	r.patches.Add(key, result{read, err})
	return read, err
}

func (r *Reader) target(t fleet.Target) (*target, error) {
	if known, ok := r.targets.Get(t); ok {
		return known, nil
	}
	read, err := newTarget(t)
	if err != nil {
		return nil, err
	}
	if other, ok, _ := r.targets.PeekOrAdd(t, read); ok {
		return other, nil // another goroutine was faster
	}
	return read, nil
}

// Read reads a patch the way kustomize does, and remembers nothing.
func Read(p fleet.Patch) (*Patch, error) { return read(p, newTarget) }

func read(p fleet.Patch, newTarget func(fleet.Target) (*target, error)) (out *Patch, err error) {
	err = kustomize.WithoutLock(func() (err error) {
		out, err = parse(p, newTarget)
		return err
	})
	return out, err
}

func parse(p fleet.Patch, newTarget func(fleet.Target) (*target, error)) (*Patch, error) {
	if wrong := yamltext.Check("patch", []byte(p.Patch)); wrong != nil {
		return nil, errors.New(wrong.Message)
	}
	if err := checkTarget(p.Target); err != nil {
		return nil, err
	}
	out := &Patch{source: p}
	text := strings.TrimSpace(p.Patch)
	out.needsBuild = p.Options != fleet.PatchOptions{} || kustomize.IsUnusual(text)
	resources, notMerge := kustomize.ReadPatches([]byte(text))
	if !isPlainPatch(p.Target, text, len(resources), notMerge) {
		if err := kustomize.CheckPatch(out.Kustomize()); err != nil {
			if wrong := kustomize.CheckPatchText(text); wrong != nil {
				return nil, wrong
			}
			if notMerge != nil {
				err = fmt.Errorf("must be a strategic merge patch or a list of operations: %s", kustomize.Message(notMerge))
			}
			return nil, err
		}
	}
	if notMerge == nil && len(resources) == 0 {
		return out, nil // a comment, for example; kustomize ignores its target
	}
	if p.Target != nil {
		var err error
		if out.target, err = newTarget(*p.Target); err != nil {
			return nil, err
		}
	}
	if notMerge != nil {
		return out, out.readOperations(text)
	}
	if len(resources) > 1 && out.target != nil {
		return nil, errors.New("a target has more than one patch; give each patch an entry of its own")
	}
	return out, out.readMerges(resources)
}

// isPlainPatch reports whether kustomize's transformer certainly accepts the patch. The
// transformer reads the text both as resources and as operations, and accepts it if
// exactly one of the two works. Asking the transformer takes as long as everything else,
// for each patch of a fleet that starts.
func isPlainPatch(on *fleet.Target, text string, resources int, notMerge error) bool {
	// The transformer's configuration is YAML, which some characters cannot be in.
	special := func(c rune) bool { return c > '~' || c < ' ' && c != '\n' }
	if strings.ContainsFunc(text, special) || on != nil && strings.ContainsFunc(fmt.Sprint(*on), special) {
		return false
	}
	if notMerge == nil {
		// Text that begins like this is not a list of operations.
		return resources > 0 && (text[0] == '{' || text[0] >= 'A' && text[0] <= 'Z' || text[0] >= 'a' && text[0] <= 'z')
	}
	_, err := decodeOperations(text)
	return text != "" && err == nil
}

// Apply returns the object with the patch applied; nil if the patch deletes it. m is the
// strategic merge patch for the object, and nil for a JSON patch. The object is not
// changed.
func (p *Patch) Apply(o *kustomize.Object, m *Merge) (*kustomize.Object, error) {
	if p.needsBuild || !o.Independent() {
		return nil, ErrNeedsBuild
	}
	value, err := p.value(o, m)
	switch {
	case err == nil:
		after := o.WithValue(value, func() map[string]any {
			value, _ := p.value(o, m) // it succeeded before
			return value
		})
		return &after, nil
	case errors.Is(err, ErrNeedsBuild):
		return p.transform(o)
	}
	return nil, err
}

// value computes the new value of an object without kustomize.
func (p *Patch) value(o *kustomize.Object, m *Merge) (map[string]any, error) {
	if m == nil {
		return p.applyOperations(o)
	}
	return m.apply(o)
}

// transform applies the patch to an object alone with kustomize's transformer.
func (p *Patch) transform(o *kustomize.Object) (*kustomize.Object, error) {
	if p.target == nil && len(p.merges) > 1 {
		return nil, ErrNeedsBuild // the other merges would not find their objects
	}
	text, err := kustomize.BlockStyle(o.Text())
	if err != nil {
		return nil, err
	}
	left, err := kustomize.Transform(text, p.Kustomize())
	if err != nil || len(left) == 0 {
		return nil, err
	}
	after, err := left[0].Object()
	return &after, err
}

// checkTarget refuses a target whose regular expressions or selectors are too large.
func checkTarget(t *fleet.Target) error {
	if t == nil {
		return nil
	}
	for _, f := range []struct{ name, text string }{
		{"group", t.Group}, {"version", t.Version}, {"kind", t.Kind}, {"name", t.Name}, {"namespace", t.Namespace},
	} {
		if _, wrong := kustomize.CheckPattern(f.text, kustomize.TargetStates); wrong != "" {
			return fmt.Errorf("target.%s %s", f.name, wrong)
		}
	}
	for _, f := range []struct{ name, text string }{{"labelSelector", t.LabelSelector}, {"annotationSelector", t.AnnotationSelector}} {
		if len(f.text) > kustomize.MaxPattern {
			return fmt.Errorf("target.%s has %d bytes, and may have at most %d", f.name, len(f.text), kustomize.MaxPattern)
		}
	}
	return nil
}

// target selects objects as kustomize's `target` does.
type target struct {
	pattern             *types.SelectorRegex
	labels, annotations labels.Selector
	// kind and name are patterns without special characters, as most are; else "".
	// Comparing them first spares most objects the regular expressions.
	kind, name string
}

// newTarget is slow: compiled regular expressions take a hundred times the memory of the
// patch.
func newTarget(source fleet.Target) (*target, error) {
	s := Kustomize(fleet.Patch{Target: &source}).Target
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

// literal returns a regular expression that only matches itself; else "".
func literal(pattern string) string {
	if regexp.QuoteMeta(pattern) == pattern {
		return pattern
	}
	return ""
}

func (t *target) matches(o *kustomize.Object) bool {
	return (t.kind == "" || t.kind == o.ID.Kind) && (t.name == "" || t.name == o.ID.Name) &&
		t.pattern.MatchNamespace(o.ID.EffectiveNamespace()) && t.pattern.MatchName(o.ID.Name) && t.pattern.MatchGvk(o.ID.Gvk) &&
		(t.labels.Empty() || t.labels.Matches(o.Metadata("labels"))) &&
		(t.annotations.Empty() || t.annotations.Matches(o.Metadata("annotations")))
}
