// Package impact compares what clusters are served before and after a change, and applies the
// guard to the difference.
//
//	diffs, err := impact.Compare(pairs, impact.Options{Fields: true}, nil)
//	sum := impact.Sum(diffs)
//	impact.SetDigest(sum, failing)
//	violations := impact.Check(guard, diffs, sum, before)   // before says what was served
//
// A release is compared once for all clusters and then shown, checked and decided on as one
// [fleet.Impact]. A write is compared in the same way for the clusters that it is for.
//
// The package is pure. It renders nothing, knows no store and keeps nothing between calls.
package impact
