package fleet

import (
	"fmt"
	"strings"
)

// ObjectName is how people name an object: group and namespace narrow the choice
// where they are not nil.
type ObjectName struct {
	Kind, Name       string
	Group, Namespace *string
}

// in finds the one object of that name.
func (n ObjectName) in(objects []Object) (Object, error) {
	var found []Object
	for _, o := range objects {
		if n.is(o) {
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
	return Object{}, fmt.Errorf("%w: choose with ?group= or ?namespace= from %s", ErrConflict, strings.Join(candidates, ", "))
}

// is tells whether the object may be the one that is meant.
func (n ObjectName) is(o Object) bool {
	return strings.EqualFold(o.Kind, n.Kind) && o.Name == n.Name &&
		(n.Group == nil || o.Group() == *n.Group) &&
		(n.Namespace == nil || o.Namespace == *n.Namespace)
}

// Group is the API group of the object, "" for the core group.
func (o Object) Group() string {
	group, _, found := strings.Cut(o.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}
