package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ObjectName is how people name an object: by kind and name, and where that is not enough by
// group and namespace, which match any where they are nil.
type ObjectName struct {
	Kind, Name       string
	Group, Namespace *string
}

// Find returns the one object of that name. It is an ErrNotFound where there is none, and an
// ErrConflict that lists the candidates where there are several.
func (n ObjectName) Find(objects []Object) (Object, error) {
	var found []Object
	for _, o := range objects {
		if n.Matches(o) {
			found = append(found, o)
		}
	}
	switch len(found) {
	case 0:
		return Object{}, ErrNotFound
	case 1:
		return found[0], nil
	}
	candidates := make([]string, len(found))
	for i, o := range found {
		candidates[i] = fmt.Sprintf("%s %s/%s", o.APIVersion, o.Namespace, o.Name)
	}
	return Object{}, fmt.Errorf("%w: choose by group or namespace from %s", ErrConflict, strings.Join(candidates, ", "))
}

// Matches reports whether the object has that name. Kinds match in any case.
func (n ObjectName) Matches(o Object) bool {
	return strings.EqualFold(o.Kind, n.Kind) && o.Name == n.Name &&
		(n.Group == nil || o.Group() == *n.Group) &&
		(n.Namespace == nil || o.Namespace == *n.Namespace)
}

// Group returns the API group of the object, "" for the core group.
func (o Object) Group() string {
	group, _, found := strings.Cut(o.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}

// Is reports whether two are the same object, in whatever version.
func (o Object) Is(other Object) bool {
	return o.Group() == other.Group() && o.Kind == other.Kind && o.Name == other.Name && o.Namespace == other.Namespace
}

// ObjectOf returns the object of a JSON document that was validated before.
func ObjectOf(document json.RawMessage) Object {
	var o struct {
		APIVersion, Kind string
		Metadata         struct{ Name, Namespace string }
	}
	_ = json.Unmarshal(document, &o)
	return Object{APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Metadata.Name, Namespace: o.Metadata.Namespace, JSON: document}
}

// PatchType is the language of an ObjectPatch, by the name that kubectl has for it.
type PatchType string

const (
	// MergePatch is a JSON merge patch (RFC 7386).
	MergePatch PatchType = "merge"
	// JSONPatch is a list of operations (RFC 6902).
	JSONPatch PatchType = "json"
	// StrategicMergePatch is a strategic merge patch as kustomize applies it.
	StrategicMergePatch PatchType = "strategic"
)

// ObjectPatch is a change of one object, as somebody asks for it. Package edit makes an Edit of it.
type ObjectPatch struct {
	Type PatchType
	Body []byte
}
