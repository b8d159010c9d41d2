package fleet

import (
	"context"
	"encoding/json"
	"io/fs"
)

// Renderer turns snapshots into inputs. Package render has it.
type Renderer interface {
	// Compile reads a tree once: fleet.yaml, cluster files, stacks. What is
	// wrong with the tree is no error but in Repo.Problems, so that all of it
	// can be told together; the error is ctx's.
	Compile(ctx context.Context, tree fs.FS) (Repo, error)
	// ReadDelta reads a delta from its document, YAML or JSON, as strictly as
	// cluster files are read. Its error is Problems, with the field of each.
	ReadDelta(document []byte) (*Delta, error)
	// ReadDeclaration reads a cluster that is to be declared so, and its name.
	ReadDeclaration(document []byte) (string, *Declaration, error)
	// ReadObject reads a whole object so, as a resource of a delta.
	ReadObject(document []byte) (json.RawMessage, error)
}

// Repo is a compiled fleet repo. It is immutable, and its methods may be
// called from many goroutines.
type Repo interface {
	// Sets are the names of the input sets, in fleet.yaml's order.
	Sets() []string
	// Clusters are the clusters that could be read, sorted by name.
	Clusters() []*Cluster
	// ResourceSets are the objects that turn inputs into others in the clusters,
	// sorted by namespace and name.
	ResourceSets() []Object
	// Problems are the faults and warnings of the tree as a whole, sorted.
	Problems() Problems
	// Failed tells whether a fault concerns the whole fleet: one of fleet.yaml, or of
	// what it names for all clusters. Faults of cluster files and stacks do not.
	Failed() bool
	// Broken are the clusters that files declare and that are not among Clusters,
	// because their documents have a fault, or more than one has the name or the dns:
	// why, by name, as far as names can be read.
	Broken() map[string]Problem
	// Unread is why it cannot be told which clusters a file declares, because the file
	// or a folder that it stands in cannot be read so far; nil where it can be told, and
	// where there is no such file. A cluster that an earlier release had from the file
	// has vanished only if it is in none of Clusters and Broken, and this is nil.
	Unread(file string) *Problem
	// Guard is spec.guard, and Waves is spec.rollout.waves.
	Guard() Guard
	Waves() []WaveRule
	// Render computes what one cluster gets with those deltas, which are in the
	// order in which they are applied. The rendering is nil where the cluster has
	// a fault, or depends on a part of the tree that has one, and only there; the faults
	// that keep it from being rendered are then among the problems, and those that many
	// clusters share are the same for each of them. Parts of deltas that
	// cannot be applied, or whose result has a fault that there is none of
	// without them, are skipped and are the rendering's Orphans. Earlier is what was
	// rendered for the cluster before, of this repo or another; nil for nothing. What is
	// as it was there is taken from it, which makes no difference but time and memory.
	Render(c *Cluster, deltas []*Delta, earlier *Rendering) (*Rendering, Problems)
	// StrategicMerge applies a strategic merge patch, as kustomize does, to one
	// object, and returns the object as JSON.
	StrategicMerge(o Object, patch []byte) ([]byte, error)
}

// Rendering is what one cluster gets. It is immutable.
type Rendering struct {
	Placement Placement
	// Inputs has, by input set, the complete answer to a poll:
	// {"inputs":[…]}, sorted by id, checked against the client's contract.
	Inputs map[string]*Body
	// Orphans are the parts of deltas that were skipped, in the order of the deltas.
	Orphans []Orphan
	// Made is what it was made of, as the renderer keeps it for the next Render.
	Made interface {
		// Objects are those of the cluster's objects that are wanted, all where that is nil,
		// in kustomize's order; read-only. They are made when they are asked for.
		Objects(wanted func(Object) bool) []Object
	}
}

// Objects are the cluster's objects in kustomize's order; read-only.
func (r *Rendering) Objects() []Object { return r.Made.Objects(nil) }

// Object is one KRM object as a cluster sees it.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
	// JSON is the whole object, keys sorted.
	JSON []byte
}
