package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

// asMerge is the merge patch that does what a patch does to an object. It names
// all that the patch names, even what is as it should be already.
func (p ObjectPatch) asMerge(repo Repo, o Object, shown map[string]any) (map[string]any, error) {
	switch p.Type {
	case MergePatch:
		return p.mergePatch()
	case JSONPatch:
		return p.fromOperations(o, shown)
	case StrategicMergePatch:
		return p.fromStrategicMerge(repo, o, shown)
	}
	return nil, fmt.Errorf("patch of type %q: %w", p.Type, ErrInvalid)
}

func (p ObjectPatch) mergePatch() (map[string]any, error) {
	v, err := decodeWhole(p.Body)
	if err != nil {
		return nil, Problems{{Message: "the merge patch is not JSON: " + err.Error()}}
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, Problems{{Message: "the merge patch must be a JSON object; to take the object away, use DELETE"}}
	}
	return m, nil
}

// maxCopies bounds what copy operations may make of an object, in bytes.
const maxCopies = 4 << 20

func (p ObjectPatch) fromOperations(o Object, shown map[string]any) (map[string]any, error) {
	if _, err := decodeWhole(p.Body); err != nil {
		return nil, Problems{{Message: "the JSON patch is not JSON: " + err.Error()}}
	}
	ops, err := jsonpatch.DecodePatch(p.Body)
	if err != nil {
		return nil, Problems{{Message: "the JSON patch must be a list of operations: " + err.Error()}}
	}
	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit = maxCopies
	options.SupportNegativeIndices = false // RFC 6902 has none.
	after, err := ops.ApplyWithOptions(o.JSON, options)
	if err != nil {
		return nil, Problems{{Message: "the JSON patch does not apply: " + err.Error()}}
	}
	v, err := decode(after)
	if err != nil {
		return nil, err
	}
	wanted, ok := v.(map[string]any)
	if !ok {
		return nil, Problems{{Message: "the JSON patch makes no object of it; to take the object away, use DELETE"}}
	}
	changes := difference(shown, wanted)
	for _, op := range ops {
		if op.Kind() == "test" {
			continue
		}
		if path, err := op.Path(); err == nil {
			name(changes, shown, wanted, pointer(path))
		}
	}
	return changes, nil
}

// pointer takes a JSON pointer apart (RFC 6901).
func pointer(path string) []string {
	parts := strings.Split(path, "/")[1:]
	for i, part := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
	}
	return parts
}

// name has a merge patch from one value to another say what stands at a path,
// though it may not differ. It goes as far as mappings do: a list is one value.
func name(patch, from, to map[string]any, path []string) {
	if len(path) == 0 {
		maps.Copy(patch, covering(from, to))
	}
	for i, key := range path {
		value, there := to[key]
		below, deeper := value.(map[string]any)
		switch {
		case !there:
			patch[key] = nil
			return
		case !deeper:
			patch[key] = value
			return
		case i == len(path)-1:
			patch[key] = covering(from[key], below)
			return
		}
		next, named := patch[key].(map[string]any)
		if !named {
			next = map[string]any{}
			patch[key] = next
		}
		patch, from, to = next, mapping(from[key]), below
	}
}

func (p ObjectPatch) fromStrategicMerge(repo Repo, o Object, shown map[string]any) (map[string]any, error) {
	v, err := decodeWhole(p.Body)
	if err != nil {
		return nil, Problems{{Message: "the strategic merge patch is not JSON: " + err.Error()}}
	}
	named, ok := v.(map[string]any)
	if !ok {
		return nil, Problems{{Message: "the strategic merge patch must be a JSON object"}}
	}
	after, err := repo.StrategicMerge(o, p.Body)
	if err != nil {
		return nil, err
	}
	wanted, err := patchValue(after)
	if err != nil {
		return nil, err
	}
	changes := difference(shown, wanted)
	nameAll(changes, wanted, named)
	return changes, nil
}

// nameAll has a merge patch say what stands wherever another patch says something.
func nameAll(patch, to, named map[string]any) {
	for key, value := range named {
		if strings.HasPrefix(key, "$") {
			continue // A directive; what it does is part of the difference.
		}
		deeper, isMapping := value.(map[string]any)
		below, kept := to[key].(map[string]any)
		switch {
		case isMapping && kept:
			next, ok := patch[key].(map[string]any)
			if !ok {
				next = map[string]any{}
				patch[key] = next
			}
			nameAll(next, below, deeper)
		case to[key] == nil:
			patch[key] = nil
		default:
			patch[key] = to[key]
		}
	}
}

// keepIdentity takes out of a merge patch what names the object, and refuses to
// have it named otherwise.
func keepIdentity(patch, shown map[string]any) error {
	var problems Problems
	keep := func(in, of map[string]any, key, path string) {
		value, named := in[key]
		if !named {
			return
		}
		if value != of[key] {
			problems = append(problems, Problem{Field: path, Message: "says which object it is, and cannot be changed; delete the object and put another"})
		}
		delete(in, key)
	}
	keep(patch, shown, "apiVersion", "apiVersion")
	keep(patch, shown, "kind", "kind")
	switch meta := patch["metadata"].(type) {
	case map[string]any:
		meta = maps.Clone(meta)
		keep(meta, mapping(shown["metadata"]), "name", "metadata.name")
		keep(meta, mapping(shown["metadata"]), "namespace", "metadata.namespace")
		if patch["metadata"] = meta; len(meta) == 0 {
			delete(patch, "metadata")
		}
	case nil:
		if _, named := patch["metadata"]; named {
			problems = append(problems, Problem{Field: "metadata", Message: "holds the object's name, and cannot be removed"})
		}
	default:
		problems = append(problems, Problem{Field: "metadata", Message: "must be a JSON object"})
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

func patchValue(patch json.RawMessage) (map[string]any, error) {
	v, err := decode(patch)
	return mapping(v), err
}

func objectValue(o Object) (map[string]any, error) {
	v, err := decode(o.JSON)
	return mapping(v), err
}
