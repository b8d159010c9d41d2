package patch

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
)

// operation is an operation of a JSON patch that only sets or removes a key of a mapping.
// Nearly all are like that. They apply to values directly, where the library would write
// and read the whole object.
type operation struct {
	kind  string // add, replace or remove
	path  []string
	value any // as encoding/json reads it
}

// readOperations reads the patch as a JSON patch.
func (p *Patch) readOperations(text string) error {
	if p.target == nil {
		return errors.New("a JSON patch needs a target, because it does not name its object")
	}
	patch, err := decodeOperations(text)
	if err != nil {
		return err
	}
	for _, op := range patch {
		at, err := op.Path()
		p.needsBuild = p.needsBuild || err != nil || renames(at)
		if from, err := op.From(); err == nil {
			p.needsBuild = p.needsBuild || renames(from)
		}
	}
	if p.operations = simpleOperations(patch); p.operations == nil {
		p.jsonPatch = patch
	}
	return nil
}

func decodeOperations(text string) (jsonpatch.Patch, error) {
	data := []byte(text)
	if !strings.HasPrefix(text, "[") {
		var err error
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return nil, err
		}
	}
	patch, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return nil, err
	}
	return patch, checkPointers(patch, nil)
}

// checkPointers refuses pointers that RFC 6901 does not know. The document may be nil.
func checkPointers(patch jsonpatch.Patch, document any) error {
	for i, op := range patch {
		for _, read := range []func() (string, error){op.Path, op.From} {
			if pointer, err := read(); err == nil { // the library reports one that is missing
				if err := fleet.CheckPointer(pointer, document); err != nil {
					return fmt.Errorf("operation %d: %w", i, err)
				}
			}
		}
	}
	return nil
}

// renames reports whether a JSON pointer leads to what an object is called, to
// annotations, which kustomize rewrites after a JSON patch, or to the whole object.
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

// simpleOperations returns the operations of a patch if all of them are simple, or else
// nil.
func simpleOperations(p jsonpatch.Patch) []operation {
	var all []operation
	for _, op := range p {
		at, err := op.Path()
		o := operation{kind: op.Kind()}
		if err != nil || !strings.HasPrefix(at, "/") {
			return nil
		}
		for part := range strings.SplitSeq(at[1:], "/") {
			o.path = append(o.path, strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
		}
		switch o.kind {
		case "add", "replace":
			raw := op["value"]
			if raw == nil || json.Unmarshal(*raw, &o.value) != nil || o.value == nil {
				return nil // the library decides what null means
			}
		case "remove":
		default:
			return nil
		}
		all = append(all, o)
	}
	return all
}

// applyOperations returns the value of an object after the JSON patch. All its numbers
// are float64, because kustomize reads the result of a JSON patch back that way.
func (p *Patch) applyOperations(o *kustomize.Object) (map[string]any, error) {
	if value, ok := applySimple(o, p.operations); ok {
		return value, nil
	}
	patch := p.jsonPatch
	if patch == nil {
		var err error
		if patch, err = decodeOperations(strings.TrimSpace(p.source.Patch)); err != nil {
			return nil, err
		}
	}
	if err := checkPointers(patch, o.Values()); err != nil {
		return nil, err
	}
	data, err := patch.Apply(o.Text())
	if err != nil {
		return nil, err
	}
	var value map[string]any
	err = json.Unmarshal(data, &value)
	return value, err
}

// applySimple returns false where the library has an error to report, or where the path
// leads through something other than mappings.
func applySimple(o *kustomize.Object, operations []operation) (value map[string]any, ok bool) {
	if value = o.Floats(); value == nil || len(operations) == 0 {
		return nil, false
	}
	for _, op := range operations {
		if value, ok = op.apply(value, op.path); !ok {
			return nil, false
		}
	}
	return value, true
}

// apply returns a mapping with the operation applied below path. Everything that the
// operation does not reach is shared with the argument.
func (o operation) apply(to map[string]any, path []string) (map[string]any, bool) {
	key := path[0]
	old := to[key]
	if len(path) == 1 {
		if old == nil && o.kind != "add" {
			return nil, false
		}
		out := maps.Clone(to)
		if out[key] = o.value; o.kind == "remove" {
			delete(out, key)
		}
		return out, true
	}
	child, ok := old.(map[string]any)
	if !ok {
		return nil, false
	}
	next, ok := o.apply(child, path[1:])
	if !ok {
		return nil, false
	}
	out := maps.Clone(to)
	out[key] = next
	return out, true
}
