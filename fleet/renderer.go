package fleet

import (
	"context"
	"io/fs"
)

// Renderer turns snapshots into inputs. Package render has it.
type Renderer interface {
	// Compile reads a tree once: fleet.yaml, cluster files, stacks. What is
	// wrong with the tree is no error but in Repo.Problems, so that all of it
	// can be told together; the error is ctx's.
	Compile(ctx context.Context, tree fs.FS) (Repo, error)
}

// Repo is a compiled fleet repo. It is immutable, and its methods may be
// called from many goroutines.
type Repo interface {
	// Sets are the names of the input sets, in fleet.yaml's order.
	Sets() []string
	// Clusters are the clusters that could be read, sorted by name.
	Clusters() []Cluster
	// Problems are the faults and warnings of the tree as a whole, sorted.
	Problems() Problems
	// Render computes what one cluster gets. The rendering is nil where the
	// cluster has a fault, or depends on a part of the tree that has one.
	Render(c Cluster) (*Rendering, Problems)
}

// Rendering is what one cluster gets.
type Rendering struct {
	Placement Placement
	// Objects are the cluster's objects in kustomize's order; read-only.
	Objects []Object
	// Inputs has, by input set, the complete answer to a poll:
	// {"inputs":[…]}, sorted by id, checked against the client's contract.
	Inputs map[string]InputSet
}

// InputSet is the answer to a poll of one cluster and set.
type InputSet struct {
	// Count is the number of inputs.
	Count int
	// JSON is the body: UTF-8, keys sorted, one line.
	JSON []byte
}

// Object is one KRM object as a cluster sees it.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
	// JSON is the whole object, keys sorted.
	JSON []byte
}
