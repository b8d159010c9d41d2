package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unique"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/cache"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// complete returns an object with its input in every set.
func (r *Repo) complete(o kustomize.Object) *cache.Object {
	out := &cache.Object{Object: o, Inputs: make([]*cache.Input, len(r.sets))}
	spent := 0
	for i, set := range r.sets {
		if set.Selects(&out.Object) {
			out.Inputs[i], spent = newInput(set, &out.Object, spent)
		}
	}
	return out
}

// inputBuilder makes the input of one object in one set.
type inputBuilder struct {
	set    *fleetrepo.InputSet
	object *kustomize.Object
	in     *cache.Input
}

// newInput returns the input of an object in a set. spent is what the schemas of other sets
// took to evaluate, and the second result what they take with that of this one.
func newInput(s *fleetrepo.InputSet, o *kustomize.Object, spent int) (*cache.Input, int) {
	b := &inputBuilder{s, o, &cache.Input{}}
	values := b.values()
	b.in.ID = b.id()
	b.in.Object = unique.Make(fleet.ObjectRef{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name})
	values["id"] = b.in.ID
	b.in.Keys = slices.Sorted(maps.Keys(values))
	b.checkContract(values)
	spent = s.Validate(values, spent, func(path, message string) {
		at := b.pathInObject(path)
		if !slices.ContainsFunc(b.in.Faults, func(f cache.Fault) bool { return f.Path == at && path != "" }) {
			b.fault(at, "%s", message)
		}
	})
	head, tail := map[string]any{}, map[string]any{}
	for key, value := range values {
		if key < "cluster" {
			head[key] = value
		} else {
			tail[key] = value
		}
	}
	b.in.Head, b.in.Tail = b.encode(head), b.encode(tail)
	return b.in, spent
}

func (b *inputBuilder) fault(path, format string, args ...any) {
	b.in.Faults = append(b.in.Faults, cache.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

// pathInObject returns the path in the object of a path in its input.
func (b *inputBuilder) pathInObject(path string) string {
	if b.set.FieldPaths == nil {
		return strings.TrimSuffix("spec."+path, ".")
	}
	field, rest, _ := strings.Cut(path, ".")
	return strings.Trim(strings.Join(b.set.FieldPaths[field], ".")+"."+rest, ".")
}

// values returns the fields of the input: the object's spec or what `fields` names,
// without nulls, and with defaults for what is absent.
func (b *inputBuilder) values() map[string]any {
	values := map[string]any{}
	if b.set.FieldPaths == nil {
		switch spec := b.object.Values()["spec"].(type) {
		case map[string]any:
			maps.Copy(values, spec)
		case nil:
		default:
			b.fault("spec", "must be a mapping to become an input; choose fields in fleet.yaml")
		}
		for _, key := range fleetrepo.ReservedKeys {
			if _, taken := values[key]; taken {
				b.fault("spec."+key, "is reserved in inputs; rename it, or choose fields in fleet.yaml")
			}
		}
	}
	for key, path := range b.set.FieldPaths {
		values[key], _ = path.Lookup(b.object.Values())
	}
	maps.DeleteFunc(values, func(_ string, v any) bool { return v == nil })
	for key, value := range b.set.Defaults {
		if _, set := values[key]; !set && value != nil {
			values[key] = value
		}
	}
	return values
}

func (b *inputBuilder) id() string {
	var parts []string
	for i, path := range b.set.IDPaths {
		value, found := path.Lookup(b.object.Values())
		if !found {
			continue
		}
		text, scalar := yamltext.ScalarText(value)
		if !scalar {
			b.fault(b.set.ID[i], "must be a string, number or boolean to be part of an id")
		} else if c := strings.IndexFunc(text, unicode.IsControl); c >= 0 {
			b.fault(b.set.ID[i], "has the control character %U, and is part of an id; remove it", []rune(text[c:])[0])
		} else if text != "" {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 && len(b.in.Faults) == 0 {
		b.fault(b.set.ID[0], "gives no id; every input needs one")
	}
	return strings.Join(parts, b.set.IDSeparator)
}

// encode writes a mapping as JSON without its braces.
func (b *inputBuilder) encode(m map[string]any) []byte {
	data, err := yamltext.EncodeJSON(m)
	if err != nil {
		b.fault("", "%v", err)
		return nil
	}
	return data[1 : len(data)-1]
}

// checkContract checks the input against what Flux Operator accepts, and against what
// must never be sent to it.
func (b *inputBuilder) checkContract(values map[string]any) {
	if !isHarmless(values) || !isHarmless(b.object.Values()) {
		walk("", values, func(path string, v any) {
			if isTooLarge(v) {
				b.fault(b.pathInObject(path), "is a number beyond ±(2^53−1), and Flux Operator reads numbers as float64; write it as a string")
			}
		})
		walk("", b.object.Values(), func(path string, _ any) {
			if isDirective(path) {
				b.fault(path, directiveLeft)
			}
		})
		fleetrepo.CheckResourceSets(b.object.Values(), func(path, message string) { b.fault(path, "%s", message) })
	}
	if metadata, _ := b.object.Values()["metadata"].(map[string]any); !kustomize.IsTextMap(metadata, "labels") {
		labels, _ := metadata["labels"].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(labels)) {
			if text, scalar := yamltext.ScalarText(labels[key]); scalar && text != labels[key] {
				b.fault("metadata.labels."+key, "must be a string in Kubernetes, is %s; put it in quotes", text)
			}
		}
	}
	if !b.set.AllowSecrets && isReadableSecret(b.object) {
		b.fault("data", "is a Secret that is not encrypted, and Flux Operator keeps inputs in its status; encrypt it, send a reference, or set allowSecrets: true on the input set")
	}
}

// isHarmless reports whether nothing below v is too large, a directive or a ResourceSet.
// It takes a tenth of the time of walk.
func isHarmless(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if fleetrepo.IsResourceSet(v) {
			return false
		}
		for key, child := range v {
			if strings.HasSuffix(key, "$patch") || !isHarmless(child) {
				return false
			}
		}
	case []any:
		for _, child := range v {
			if !isHarmless(child) {
				return false
			}
		}
	default:
		return !isTooLarge(v)
	}
	return true
}

const directiveLeft = "kustomize has left this directive in place, because it knows no merge key for the list; use a JSON patch"

func isDirective(path string) bool { return path == "$patch" || strings.HasSuffix(path, ".$patch") }

// directiveIn returns the first path, by name, of a directive that is left in a value; ""
// for none.
func directiveIn(value map[string]any) (found string) {
	walk("", value, func(path string, _ any) {
		if isDirective(path) && (found == "" || path < found) {
			found = path
		}
	})
	return found
}

// walk calls f for every value below v, with its path.
func walk(path string, v any, f func(path string, v any)) {
	if path != "" {
		f(path, v)
	}
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			walk(fleetrepo.FieldName(path, key), child, f)
		}
	case []any:
		for i, child := range v {
			walk(fleetrepo.FieldIndex(path, i), child, f)
		}
	}
}

// isTooLarge reports whether a float64 may not hold a number as it is written: one beyond
// all of them, or an integer beyond those that it distinguishes. A number that is written
// with an exponent does not claim to be exact.
func isTooLarge(v any) bool {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return true
		}
		if strings.ContainsAny(v.String(), "eE") || f != math.Trunc(f) {
			return false
		}
		n, err := v.Int64() // 2^53 and 2^53+1 are the same float64
		if err != nil {
			return math.Abs(f) > fleet.MaxInteger
		}
		return n > fleet.MaxInteger || n < -fleet.MaxInteger
	case float64: // written with an exponent from 1e21 on
		return v == math.Trunc(v) && math.Abs(v) > fleet.MaxInteger && math.Abs(v) < 1e21
	}
	return false
}

// isReadableSecret reports whether an object is a Secret with data that everyone can read
// who sees it. Values that SOPS has encrypted are not readable.
func isReadableSecret(o *kustomize.Object) bool {
	if o.Kind != "Secret" || o.APIVersion != "v1" {
		return false
	}
	for _, key := range []string{"data", "stringData"} {
		value := o.Values()[key]
		m, ok := value.(map[string]any)
		if !ok && value != nil {
			return true
		}
		for _, v := range m {
			if text, _ := yamltext.ScalarText(v); !strings.HasPrefix(text, "ENC[") {
				return true
			}
		}
	}
	return false
}
