package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// input is what an object becomes in a set, without the cluster: that is the
// same for every cluster that has the object, so it is made, checked and
// written as JSON once.
type input struct {
	fleet.Input
	keys   []string // top-level keys, sorted, without cluster
	faults []fault
}

// fault is what is wrong with an input, at a path of the object or input.
type fault struct{ path, message string }

func (s *inputSet) selects(o *object) bool {
	return (s.Kind == "" || s.Kind == o.Kind) &&
		(s.APIVersion == "" || s.APIVersion == o.APIVersion) &&
		(s.selector == nil || s.selector.Matches(metadataOf(o, "labels")))
}

// newInput makes the object's input and notes what is wrong with it.
func (s *inputSet) newInput(o *object) *input {
	in := &input{}
	values := s.values(o, in)
	in.ID = s.inputID(o, in)
	values["id"] = in.ID
	in.keys = slices.Sorted(maps.Keys(values))
	in.faults = append(in.faults, s.contract(o, values)...)
	if s.schema != nil {
		for _, f := range s.schema.validate(values) {
			in.fault(s.inObject(f.path), "%s, says %s", f.message, s.Schema)
		}
	}
	head, tail := map[string]any{}, map[string]any{}
	for key, value := range values {
		if key < "cluster" {
			head[key] = value
		} else {
			tail[key] = value
		}
	}
	in.Head, in.Tail = in.members(head), in.members(tail)
	return in
}

// inObject is the path in the object of a path in its input.
func (s *inputSet) inObject(path string) string {
	field, rest, _ := strings.Cut(path, ".")
	if s.fields == nil {
		return strings.TrimSuffix("spec."+path, ".")
	}
	from := strings.Join(s.fields[field], ".")
	return strings.Trim(from+"."+rest, ".")
}

// values are the fields of the input: the object's spec or what `fields` names,
// without nulls, and defaults for what is absent.
func (s *inputSet) values(o *object, in *input) map[string]any {
	values := map[string]any{}
	if s.fields == nil {
		switch spec := o.values()["spec"].(type) {
		case map[string]any:
			maps.Copy(values, spec)
		case nil:
		default:
			in.fault("spec", "must be a mapping to become an input; choose fields in fleet.yaml")
		}
		for _, key := range reserved {
			if _, taken := values[key]; taken {
				in.fault("spec."+key, "is reserved in inputs; rename it, or choose fields in fleet.yaml")
			}
		}
	}
	for key, path := range s.fields {
		values[key], _ = path.lookup(o.values())
	}
	maps.DeleteFunc(values, func(_ string, v any) bool { return v == nil })
	for key, value := range s.Defaults {
		if _, set := values[key]; !set && value != nil {
			values[key] = value
		}
	}
	return values
}

func (s *inputSet) inputID(o *object, in *input) string {
	var parts []string
	for i, path := range s.id {
		value, found := path.lookup(o.values())
		if !found {
			continue
		}
		text, scalar := scalarText(value)
		if !scalar {
			in.fault(s.ID[i], "must be a string, number or boolean to be part of an id")
		} else if text != "" {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 && len(in.faults) == 0 {
		in.fault(s.ID[0], "gives no id; every input needs one")
	}
	return strings.Join(parts, "-")
}

func (in *input) fault(path, format string, args ...any) {
	in.faults = append(in.faults, fault{path, fmt.Sprintf(format, args...)})
}

// members writes a mapping as JSON without its braces.
func (in *input) members(m map[string]any) []byte {
	data, err := encode(m)
	if err != nil {
		in.fault("", "%v", err)
		return nil
	}
	return data[1 : len(data)-1]
}
