package synthetic

import (
	"os"
	"path"
	"path/filepath"
)

// Fleet is a fleet repo that has been made up. It has no state beside its Options.
type Fleet struct{ Options }

// New returns the fleet of these options, or says which of them makes none.
func New(o Options) (*Fleet, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Fleet{o}, nil
}

// Files are all files by their paths in the repo. The caller owns them.
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

// Write writes all files into a directory, which is made where it is missing.
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

// BaseChange is a file of the base as a commit leaves it that moves a component to
// another chart, which reaches every cluster. Version 0 is what Files has.
func (f *Fleet) BaseChange(version int) (name string, content []byte) {
	return f.componentFile(0, version)
}

// ClusterChange is a cluster's file as a commit leaves it that changes what this cluster
// gets and no other. Version 0 is what Files has.
func (f *Fleet) ClusterChange(cluster, version int) (name string, content []byte) {
	return f.cluster(cluster).path(), f.clusterFile(cluster, version)
}

// ClusterName is the name of the cluster with that number, which is less than Clusters.
func (f *Fleet) ClusterName(cluster int) string { return f.cluster(cluster).name() }
