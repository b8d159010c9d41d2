package patch

import (
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/resid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// Merge is one strategic merge patch. Its value is kept as JSON: a fleet has as many of
// them as it has clusters, and values take ten times the memory.
type Merge struct {
	// ID names the object that the patch is for.
	ID resid.ResId

	text     []byte
	hasLists bool
	plain    bool // without null, dates, folded text and directives
}

// readMerges reads the patch as strategic merge patches.
func (p *Patch) readMerges(resources []*resource.Resource) error {
	ids := make([]resid.ResId, len(resources))
	err := kustomize.WithLock(func() error { // the schema says which kinds have namespaces
		for i, res := range resources {
			ids[i] = res.OrgId()
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, res := range resources {
		value, err := yamltext.ValueOf(res.YNode())
		if err != nil {
			return err
		}
		m, usual, err := newMerge(ids[i], value)
		if err != nil {
			return err
		}
		m.plain = m.plain && !holdsSpecialScalar(res.YNode())
		p.merges, p.needsBuild = append(p.merges, m), p.needsBuild || !usual
	}
	return nil
}

// newMerge removes from a patch what kustomize restores after the merge. The rest of the
// metadata is usual if it only sets labels and annotations to strings: kustomize rewrites
// those in the course of a build.
func newMerge(id resid.ResId, value map[string]any) (m Merge, usual bool, err error) {
	delete(value, "apiVersion")
	delete(value, "kind")
	usual = true
	if meta, ok := value["metadata"].(map[string]any); ok {
		delete(meta, "name")
		delete(meta, "namespace")
		for key := range meta {
			usual = usual && (key == "labels" || key == "annotations") && kustomize.IsTextMap(meta, key)
		}
		if len(meta) == 0 {
			delete(value, "metadata")
		}
	}
	m = Merge{ID: id, plain: true}
	m.inspect(value)
	m.text, err = yamltext.EncodeJSON(value)
	return m, usual, err
}

// holdsSpecialScalar reports whether a node holds a scalar that the JSON form of the
// patch does not fully describe. A null that is written as nothing may be an empty
// string. A date becomes different text, but not where it replaces quoted text. Folded
// text gets more lines when it is written, unless it replaces text of another style.
func holdsSpecialScalar(n *kyaml.Node) bool {
	return n.Kind == kyaml.ScalarNode && (n.Tag == kyaml.NodeTagNull || n.Tag == "!!timestamp" || n.Style&kyaml.FoldedStyle != 0) ||
		slices.ContainsFunc(n.Content, holdsSpecialScalar)
}

// inspect looks for lists and directives.
func (m *Merge) inspect(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			m.plain = m.plain && !strings.HasPrefix(key, "$")
			m.inspect(child)
		}
	case []any:
		m.hasLists = true
		for _, child := range v {
			m.inspect(child)
		}
	}
}

// apply returns the merged value of an object.
func (m *Merge) apply(o *kustomize.Object) (map[string]any, error) {
	if !m.plain || m.hasLists && !o.Unknown {
		return nil, ErrNeedsBuild
	}
	value, err := yamltext.DecodeJSON(m.text)
	if err != nil {
		return nil, err
	}
	return merged(o.Values(), value)
}

// merged merges a plain patch into a copy of base. Without nulls, directives and lists
// that merge by key, a strategic merge is simple: mappings merge, and everything else is
// replaced. kustomize reports an error where the types differ, and keeps the quotes of a
// string, which turn what replaces it into a string, so both cases are left to kustomize.
func merged(base, patch map[string]any) (map[string]any, error) {
	out := maps.Clone(base)
	for key, value := range patch {
		old, present := out[key]
		if !present || old == nil {
			out[key] = value
			continue
		}
		if kindOf(old) != kindOf(value) || isString(old) && !isString(value) {
			return nil, ErrNeedsBuild
		}
		if child, ok := value.(map[string]any); ok {
			both, err := merged(old.(map[string]any), child)
			if err != nil {
				return nil, err
			}
			value = both
		}
		out[key] = value
	}
	return out, nil
}

type valueKind int

const (
	scalarKind valueKind = iota
	mappingKind
	listKind
)

func kindOf(v any) valueKind {
	switch v.(type) {
	case map[string]any:
		return mappingKind
	case []any:
		return listKind
	}
	return scalarKind
}

func isString(v any) bool {
	_, ok := v.(string)
	return ok
}
