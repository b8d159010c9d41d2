package synthetic

import "fmt"

// Options say how large a fleet is. Equal Options give equal bytes.
type Options struct {
	Clusters   int     // spread evenly over the stacks
	Stacks     int     // distinct pairs of an overlay and a component
	Components int     // platform components in each stack
	Namespaces int     // in each stack
	Bindings   int     // cluster role bindings in each stack
	Patches    int     // in each cluster's file
	Inline     float64 // the share of clusters with a resource inline, from 0 to 1
	Seed       uint64
}

// Default is the fleet that docs/benchmarks.md is about.
func Default() Options {
	return Options{Clusters: 10_000, Stacks: 12, Components: 30, Namespaces: 10, Bindings: 5, Patches: 2}
}

func (o Options) check() error {
	for _, n := range []struct {
		name            string
		is, least, most int
	}{
		{"clusters", o.Clusters, 1, 99_999}, // their names have five digits
		{"stacks", o.Stacks, 1, o.Clusters},
		{"components", o.Components, 1, 1_000},
		{"namespaces", o.Namespaces, 1, 1_000},
		{"bindings", o.Bindings, 1, 1_000},
		{"patches", o.Patches, 0, o.Components}, // each of another component
	} {
		if n.is < n.least || n.is > n.most {
			return fmt.Errorf("%d %s: must be from %d to %d", n.is, n.name, n.least, n.most)
		}
	}
	if !(o.Inline >= 0 && o.Inline <= 1) { // NaN is neither
		return fmt.Errorf("inline %v: must be from 0 to 1", o.Inline)
	}
	return nil
}
