package fleet

import (
	"bytes"
	"unique"
)

// Input is one input without the block that names the cluster, which is all that differs where
// many clusters have the same input. The inputs of one stack that nothing of a cluster's own
// changes are one Input for all of its clusters, so that a comparison has to look at each only
// once. It is immutable.
type Input struct {
	ID string
	// Head and Tail are the JSON members before and after "cluster", without braces and without
	// the commas beside it. Tail has the id.
	Head, Tail []byte
	// Object is the object that the input is made of. It is the same memory for all inputs of an
	// object of that name.
	Object unique.Handle[ObjectRef]
}

// ObjectRef names an object in all the ways in which the guard may select it.
type ObjectRef struct{ APIVersion, Kind, Namespace, Name string }

// MadeOf returns the name of the object that the input is made of; zero where that is unknown.
func (in *Input) MadeOf() ObjectRef {
	if in.Object == (unique.Handle[ObjectRef]{}) {
		return ObjectRef{}
	}
	return in.Object.Value()
}

// Same reports whether two inputs are equal but for the cluster.
func (in *Input) Same(other *Input) bool {
	return in == other || bytes.Equal(in.Head, other.Head) && bytes.Equal(in.Tail, other.Tail)
}

// size is how many bytes AppendTo appends, without the identity.
func (in *Input) size() int {
	n := len(`{"cluster":,}`) + len(in.Head) + len(in.Tail)
	if len(in.Head) > 0 {
		n++
	}
	return n
}

// AppendTo appends the input of one cluster to b. Identity is the JSON of the cluster's Identity.
func (in *Input) AppendTo(b, identity []byte) []byte {
	b = append(b, '{')
	if len(in.Head) > 0 {
		b = append(append(b, in.Head...), ',')
	}
	b = append(append(b, `"cluster":`...), identity...)
	b = append(append(b, ','), in.Tail...)
	return append(b, '}')
}
