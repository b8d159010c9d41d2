package edit

import (
	"fmt"
	"maps"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/tributary-gitops/tributary/fleet"
)

// Whatever language a patch is in, it is kept as a merge patch. The merge patch says all that
// the patch says, also what the object has already: if a later release changes the object, it
// still holds what somebody asked for.

// mergePatch returns the merge patch that does to an object what p does. Current is the
// decoded object.
func (t *Target) mergePatch(p fleet.ObjectPatch, o fleet.Object, current map[string]any) (map[string]any, error) {
	switch p.Type {
	case fleet.MergePatch:
		return readMergePatch(p.Body)
	case fleet.JSONPatch:
		return fromOperations(p.Body, o, current)
	case fleet.StrategicMergePatch:
		return t.fromStrategicMerge(p.Body, o, current)
	}
	return nil, fmt.Errorf("patch of type %q: %w", p.Type, fleet.ErrInvalid)
}

func readMergePatch(body []byte) (map[string]any, error) {
	v, err := decodeInput(body)
	if err != nil {
		return nil, problem("the merge patch " + err.Error())
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, problem("the merge patch must be a JSON object; to remove the object, delete it instead")
	}
	return m, nil
}

// maxCopies limits how many bytes the copy operations of a JSON patch may add to an object.
const maxCopies = 4 << 20

func fromOperations(body []byte, o fleet.Object, current map[string]any) (map[string]any, error) {
	if _, err := decodeInput(body); err != nil {
		return nil, problem("the JSON patch " + err.Error())
	}
	operations, err := jsonpatch.DecodePatch(body)
	if err != nil {
		reason := ""
		if text := err.Error(); !strings.Contains(text, "json: ") { // which names Go types
			reason = ": " + text
		}
		return nil, problem("the JSON patch must be a list of operations" + reason)
	}
	for i, operation := range operations {
		for _, read := range []func() (string, error){operation.Path, operation.From} {
			if pointer, err := read(); err == nil { // the library reports one that is missing
				if err := fleet.CheckPointer(pointer, current); err != nil {
					return nil, problem(fmt.Sprintf("the JSON patch: operation %d: %v", i, err))
				}
			}
		}
	}
	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit = maxCopies
	options.SupportNegativeIndices = false // RFC 6902 has none
	after, err := operations.ApplyWithOptions(o.JSON, options)
	if err != nil {
		return nil, problem("the JSON patch does not apply: " + err.Error())
	}
	v, err := decode(after)
	if err != nil {
		return nil, err
	}
	wanted, ok := v.(map[string]any)
	if !ok {
		return nil, problem("the JSON patch leaves no JSON object; to remove the object, delete it instead")
	}
	patch := difference(current, wanted)
	for _, operation := range operations {
		if operation.Kind() == "test" {
			continue
		}
		if pointer, err := operation.Path(); err == nil {
			namePath(patch, current, wanted, parsePointer(pointer))
		}
	}
	return patch, nil
}

// parsePointer returns the keys of a JSON pointer (RFC 6901).
func parsePointer(pointer string) []string {
	keys := strings.Split(pointer, "/")[1:]
	for i, key := range keys {
		keys[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
	}
	return keys
}

// namePath adds to patch, a merge patch from one object to another, what the other has at a
// path, even where it does not differ. A list is one value: a path into a list names the list.
func namePath(patch, from, to map[string]any, path []string) {
	if len(path) == 0 {
		maps.Copy(patch, replacing(from, to))
	}
	for i, key := range path {
		value, there := to[key]
		inner, isObject := value.(map[string]any)
		switch {
		case !there:
			patch[key] = nil
			return
		case !isObject:
			patch[key] = value
			return
		case i == len(path)-1:
			patch[key] = replacing(from[key], inner)
			return
		}
		patch, from, to = child(patch, key), object(from[key]), inner
	}
}

// child returns the object at a key of a patch, and creates it where there is none.
func child(patch map[string]any, key string) map[string]any {
	next, ok := patch[key].(map[string]any)
	if !ok {
		next = map[string]any{}
		patch[key] = next
	}
	return next
}

func (t *Target) fromStrategicMerge(body []byte, o fleet.Object, current map[string]any) (map[string]any, error) {
	v, err := decodeInput(body)
	if err != nil {
		return nil, problem("the strategic merge patch " + err.Error())
	}
	named, ok := v.(map[string]any)
	if !ok {
		return nil, problem("the strategic merge patch must be a JSON object")
	}
	after, err := t.StrategicMerge(o, body)
	if err != nil {
		return nil, err
	}
	wanted, err := decodeObject(after)
	if err != nil {
		return nil, err
	}
	patch := difference(current, wanted)
	nameAll(patch, wanted, named)
	return patch, nil
}

// nameAll adds to patch, a merge patch that makes to, what to has wherever named has a key.
func nameAll(patch, to, named map[string]any) {
	for key, value := range named {
		if strings.HasPrefix(key, "$") {
			continue // a directive; its effect is part of the difference
		}
		deeper, isObject := value.(map[string]any)
		inner, kept := to[key].(map[string]any)
		switch {
		case isObject && kept:
			nameAll(child(patch, key), inner, deeper)
		case to[key] == nil:
			patch[key] = nil
		default:
			patch[key] = to[key]
		}
	}
}

// keepIdentity removes from patch the fields that identify the object. It is an error where
// the patch changes one of them.
func keepIdentity(patch, current map[string]any) error {
	var problems fleet.Problems
	keep := func(in, of map[string]any, key, path string) {
		value, named := in[key]
		if !named {
			return
		}
		if value != of[key] {
			problems = append(problems, fleet.Problem{Field: path, Message: "identifies the object and cannot be changed; delete the object and create another"})
		}
		delete(in, key)
	}
	keep(patch, current, "apiVersion", "apiVersion")
	keep(patch, current, "kind", "kind")
	switch meta := patch["metadata"].(type) {
	case map[string]any:
		keep(meta, object(current["metadata"]), "name", "metadata.name")
		keep(meta, object(current["metadata"]), "namespace", "metadata.namespace")
		if len(meta) == 0 {
			delete(patch, "metadata")
		}
	case nil:
		if _, named := patch["metadata"]; named {
			problems = append(problems, fleet.Problem{Field: "metadata", Message: "holds the object's name and cannot be removed"})
		}
	default:
		problems = append(problems, fleet.Problem{Field: "metadata", Message: "must be a JSON object"})
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

func problem(message string) error { return fleet.Problems{{Message: message}} }
