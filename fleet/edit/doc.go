// Package edit folds a change of one object of one cluster into the cluster's own delta.
//
// A change is asked for as a patch, a whole object or a deletion. It is kept as an edit, which
// is a merge patch of that object, or as a resource of the delta. Further patches of an object
// are folded into its edit, so that a delta holds at most one edit for each object, however
// often the object is patched:
//
//	target := &edit.Target{Cluster: "edge-1", Own: own, Objects: objects, ...}
//	object, err := target.Find(name)              // what is there now, for a precondition
//	after, err := target.Patch(object, patch)     // the own delta afterwards; nil for none
//
// AddEdit appends an edit to a named delta, which has no single object to fold against.
//
// The package is pure: it renders only through the functions of a Target, and stores nothing. It
// does not check the result; the caller renders the cluster with it.
package edit
