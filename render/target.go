package render

import (
	"regexp"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
)

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
	return known.share(*t, made).(*target), nil
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
