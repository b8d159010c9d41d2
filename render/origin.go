package render

import (
	"bytes"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/kyaml/resid"
)

// originOf says where in the tree an object of the stack comes from: the file
// and, as near as can be told, the line of a field of it. kustomize is asked for
// origins only when there is a fault to tell, since that takes another build.
func (r *Repo) originOf(s *stack, id resid.ResId, field string) (file string, line int) {
	s.origins.Do(func() { s.files = s.findOrigins() })
	file, known := s.files[id.String()]
	if !known {
		return s.placement.Overlay, 0
	}
	return file, r.lineOfObject(file, id, field)
}

// findOrigins builds the stack again with kustomize's origin annotations, and
// returns the file of each object.
func (s *stack) findOrigins() map[string]string {
	files := map[string]string{}
	_ = withKustomize(func() error { // without it the message names the overlay
		m, err := build(s.kustomization("originAnnotations"), stackDir)
		if err != nil {
			return err
		}
		for _, res := range m.Resources() {
			origin, err := res.GetOrigin()
			if err != nil || origin == nil {
				continue
			}
			where := origin.Path
			if where == "" {
				where = origin.ConfiguredIn
			}
			files[res.CurId().String()] = strings.TrimPrefix(path.Join(stackDir, where), repoRoot+"/")
		}
		return nil
	})
	return files
}

// lineOfObject finds the document of an object in its file, by kind and by a
// name that prefixes and suffixes may have been added to, and in it the field
// or the nearest one above it.
func (r *Repo) lineOfObject(file string, id resid.ResId, field string) int {
	for _, root := range r.rootsOf(file) {
		name := child(child(root, "metadata"), "name")
		kind := child(root, "kind")
		if kind == nil || name == nil || kind.Value != id.Kind || !strings.Contains(id.Name, name.Value) {
			continue
		}
		at := root
		for _, part := range strings.FieldsFunc(field, func(c rune) bool { return c == '.' || c == '[' || c == ']' }) {
			next := child(at, part)
			if next == nil {
				break
			}
			at = next
		}
		return at.Line
	}
	return 0
}

// rootsOf are the documents of a file. They are kept, because where one object
// has a fault each cluster that has the object does.
func (r *Repo) rootsOf(file string) []*yaml.Node {
	if known, ok := r.roots.Load(file); ok {
		return known.([]*yaml.Node)
	}
	var roots []*yaml.Node
	if data, err := readBounded(r.tree, file); err == nil {
		dec := yaml.NewDecoder(bytes.NewReader(data))
		for {
			var doc yaml.Node
			if dec.Decode(&doc) != nil {
				break
			}
			roots = append(roots, doc.Content[0])
		}
	}
	r.roots.Store(file, roots)
	return roots
}

// child returns the value of a key, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
