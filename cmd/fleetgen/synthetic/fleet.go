// Package synthetic makes fleet repos of any size, so that what is promised for ten
// thousand clusters can be measured without having them.
//
//	f, err := synthetic.New(synthetic.Default())
//	err = f.Write(dir)
//	name, content := f.BaseChange(1) // a commit that reaches every cluster
//
// A repo looks like one that people maintain: a base, an overlay for each environment, a
// component for each region, placement by labels, and a small file for each cluster.
// Every byte is a function of the Options. The package only knows the file format and
// never renders.
package synthetic

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// Options are the size of a fleet. Equal Options give equal bytes.
type Options struct {
	Clusters   int     // spread evenly over the stacks
	Stacks     int     // distinct pairs of an overlay and a component
	Components int     // platform components in each stack
	Namespaces int     // in each stack
	Bindings   int     // cluster role bindings in each stack
	Patches    int     // in each cluster's file
	Inline     float64 // share of the clusters with a resource in their file, from 0 to 1
	Seed       uint64
}

// Default returns the fleet that docs/benchmarks.md measures.
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
		{"patches", o.Patches, 0, o.Components}, // each patches a different component
	} {
		if n.is < n.least || n.is > n.most {
			return fmt.Errorf("%d %s: must be from %d to %d", n.is, n.name, n.least, n.most)
		}
	}
	if !(o.Inline >= 0 && o.Inline <= 1) { // also refuses NaN
		return fmt.Errorf("inline %v: must be from 0 to 1", o.Inline)
	}
	return nil
}

// Fleet is a synthetic fleet repo. Its only state is its Options.
type Fleet struct{ Options }

// New returns the fleet of some options, or an error that names the invalid one.
func New(o Options) (*Fleet, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Fleet{o}, nil
}

// Files returns all files by their paths in the repo. The caller owns the map.
func (f *Fleet) Files() map[string][]byte {
	files := map[string][]byte{"fleet.yaml": f.fleetFile()}
	f.addSchemas(files)
	f.addBase(files)
	f.addOverlays(files)
	for i := range f.Clusters {
		files[f.cluster(i).path()] = f.clusterFile(i, 0)
	}
	return files
}

// Write writes all files into a directory, which it creates if necessary.
func (f *Fleet) Write(dir string) error {
	made := map[string]bool{}
	for name, content := range f.Files() {
		if parent := path.Dir(name); !made[parent] {
			if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(parent)), 0o755); err != nil {
				return err
			}
			made[parent] = true
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// BaseChange returns a file of the base after a commit that changes the chart of a
// component, which reaches every cluster. Version 0 is the file in Files.
func (f *Fleet) BaseChange(version int) (name string, content []byte) {
	return f.componentFile(0, version)
}

// ClusterChange returns a cluster's file after a commit that changes this cluster alone.
// Version 0 is the file in Files.
func (f *Fleet) ClusterChange(cluster, version int) (name string, content []byte) {
	return f.cluster(cluster).path(), f.clusterFile(cluster, version)
}

// ClusterName returns the name of a cluster by its number, which is less than Clusters.
func (f *Fleet) ClusterName(cluster int) string { return f.cluster(cluster).name() }
