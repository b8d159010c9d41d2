package fleet

import (
	"context"
	"encoding/json"
	"io/fs"
)

// Renderer turns snapshots into inputs. Package render has one.
type Renderer interface {
	// Compile reads a tree once: fleet.yaml, cluster files, stacks. What is wrong with the tree
	// is not an error but in Repo.Problems, so that everything can be reported at once. The
	// error is ctx's.
	Compile(ctx context.Context, tree fs.FS) (Repo, error)
	// ReadDelta reads a delta from its document, YAML or JSON, as strictly as cluster files are
	// read. Its error is Problems, each with its field.
	ReadDelta(document []byte) (*Delta, error)
	// ReadDeclaration reads a declaration, and the name of the cluster, in the same way.
	ReadDeclaration(document []byte) (string, *Declaration, error)
	// ReadObject reads a whole object, as a resource of a delta, in the same way.
	ReadObject(document []byte) (json.RawMessage, error)
}

// Repo is a compiled fleet repo. It is immutable, and its methods may be called from many
// goroutines.
type Repo interface {
	// Sets returns the names of the input sets, in fleet.yaml's order.
	Sets() []string
	// Clusters returns the clusters that could be read, sorted by name.
	Clusters() []*Cluster
	// ResourceSets returns the objects that turn inputs into others in the clusters, sorted by
	// namespace and name.
	ResourceSets() []Object
	// Problems returns the faults and warnings of the tree as a whole, sorted.
	Problems() Problems
	// Failed reports whether a fault concerns the whole fleet: one of fleet.yaml, or of what it
	// names for all clusters. Faults of cluster files and stacks do not.
	Failed() bool
	// Broken returns the clusters that files declare and that are not among Clusters, by name,
	// with the reason: the document has a fault, or several declare the name or the dns.
	// Clusters whose names cannot be read are left out.
	Broken() map[string]Problem
	// Unread returns the files and folders of which it is unknown which clusters they declare,
	// by path, with the reason. A cluster that an earlier release had from a file has vanished
	// only if it is in neither Clusters nor Broken, and neither the file nor a folder above it is
	// in Unread.
	Unread() map[string]Problem
	// Guard returns spec.guard, and Waves returns spec.rollout.waves.
	Guard() Guard
	Waves() []WaveRule
	// CommitURL returns spec.source.commitURL, the template of a commit's URL; empty for none.
	CommitURL() string
	// Providers returns spec.providers.
	Providers() []ProviderRule
	// Render computes what one cluster is served with those deltas, which are in the order in
	// which they are applied. The rendering is nil where the cluster has a fault, or depends on
	// a part of the tree that has one, and only there. The faults are then among the problems;
	// faults that many clusters share are the same for each of them. Parts of deltas that cannot
	// be applied, or that cause a fault which there is not without them, are skipped and are the
	// rendering's stale parts. Earlier is what was rendered for the cluster before, of this repo
	// or another, or nil. What is unchanged is taken from it, which makes no difference but in
	// time and memory. Where ctx ends first, the rendering is nil and the problems mean nothing.
	Render(ctx context.Context, c *Cluster, deltas []*Delta, earlier *Rendering) (*Rendering, Problems)
	// StrategicMerge applies a strategic merge patch to one object, as kustomize does, and
	// returns the object as JSON.
	StrategicMerge(o Object, patch []byte) ([]byte, error)
}

// Rendering is what one cluster is served. It is immutable.
type Rendering struct {
	Placement Placement
	// Inputs are the complete answers by input set, checked against what Flux Operator accepts.
	Inputs map[string]*Answer
	// Stale are the parts of deltas that were skipped, in the order of the deltas.
	Stale []StalePart
	// Cache is what the renderer keeps for the next Render of the cluster.
	Cache interface {
		// Objects returns the cluster's objects that are wanted, all where wanted is nil, in
		// kustomize's order. They are made on demand, and must not be modified.
		Objects(wanted func(Object) bool) []Object
	}
}

// Objects returns the cluster's objects in kustomize's order. They must not be modified.
func (r *Rendering) Objects() []Object { return r.Cache.Objects(nil) }

// Object is one Kubernetes object as a cluster has it.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
	// JSON is the whole object, keys sorted.
	JSON []byte
}
