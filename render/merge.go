package render

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/resid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// merge is one strategic merge patch. Its value is kept as JSON, of which a fleet has as
// many as clusters: as values it takes ten times the memory.
type merge struct {
	id    resid.ResId
	text  []byte
	lists bool // it holds a list
	plain bool // it holds no null, no date and no directive
}

// readMerges reads the patch as what it merges into objects.
func (p *patch) readMerges(resources []*resource.Resource) error {
	ids := make([]resid.ResId, len(resources))
	err := withKustomize(func() error { // whether a kind has namespaces is in the schema
		for i, res := range resources {
			ids[i] = res.OrgId()
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, res := range resources {
		value, err := valueOf(res.YNode())
		if err != nil {
			return err
		}
		m, usual, err := newMerge(ids[i], value)
		if err != nil {
			return err
		}
		m.plain = m.plain && !holdsOdd(res.YNode())
		p.merges, p.whole = append(p.merges, m), p.whole || !usual
	}
	return nil
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

// holdsOdd looks at the nodes, because once they are JSON a null that is written
// as nothing can be an empty string, and a date has become another text, which it
// does not where it takes the place of a text in quotes. Folded text gets more lines
// when it is written, unless it takes the place of a text of another style.
func holdsOdd(n *kyaml.Node) bool {
	return n.Kind == kyaml.ScalarNode && (n.Tag == kyaml.NodeTagNull || n.Tag == "!!timestamp" || n.Style&kyaml.FoldedStyle != 0) ||
		slices.ContainsFunc(n.Content, holdsOdd)
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
