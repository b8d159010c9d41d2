package fleet

import (
	"context"
	"path"
	"time"
)

// Compiled is a release whose snapshot has been compiled. It is immutable.
type Compiled struct {
	Ref ReleaseRef
	// At is when the release entered the log; zero where that is not known.
	At   time.Time
	Repo Repo
	// Sets are the names of the input sets, in fleet.yaml's order.
	Sets []string
	// Files are the clusters that files declare, by name, and Names are theirs, sorted.
	Files map[string]*Cluster
	Names []string
}

// Compile compiles a snapshot, whatever is wrong with it: faults are in Repo.Problems. Digest is
// that of the packed snapshot; empty where nothing is stored. The error is ctx's.
func Compile(ctx context.Context, r Renderer, s *Snapshot, digest string, at time.Time) (*Compiled, error) {
	repo, err := r.Compile(ctx, s.Tree)
	if err != nil {
		return nil, err
	}
	clusters := repo.Clusters()
	c := &Compiled{
		Ref: ReleaseRef{s.Revision, digest}, At: at, Repo: repo, Sets: repo.Sets(),
		Files: make(map[string]*Cluster, len(clusters)), Names: make([]string, len(clusters)),
	}
	for i, one := range clusters {
		c.Files[one.Name], c.Names[i] = one, one.Name
	}
	return c, nil
}

// File returns the cluster that a file of the release declares, or nil. The release may be nil.
func (c *Compiled) File(cluster string) *Cluster {
	if c == nil {
		return nil
	}
	return c.Files[cluster]
}

// IsUnreadable returns why the release's file of a cluster cannot be read, or nil: either the
// file is known to be the cluster's, or it is the file that the cluster had before, and what it
// declares now is unknown. Before is the cluster as it was, or nil.
func (c *Compiled) IsUnreadable(cluster string, before *Cluster) *Problem {
	if p, broken := c.Repo.Broken()[cluster]; broken {
		return &p
	}
	if before == nil || before.File == "" {
		return nil
	}
	if now := c.Files[cluster]; now != nil && now.File == before.File {
		return nil
	}
	unread := c.Repo.Unread()
	for at := path.Clean(before.File); ; at = path.Dir(at) {
		if p, ok := unread[at]; ok {
			return &p
		}
		if at == path.Dir(at) {
			return nil
		}
	}
}

// HasUnreadable reports whether IsUnreadable may have a reason for any cluster.
func (c *Compiled) HasUnreadable() bool { return len(c.Repo.Broken())+len(c.Repo.Unread()) > 0 }

// Rendered is what one cluster is served, or would be. It is immutable.
type Rendered struct {
	Cluster *Cluster
	// Sets are the names of the input sets of the cluster's release, in order.
	Sets []string
	// Inputs are the answers by set. They are nil where the cluster cannot be served.
	Inputs map[string]*Answer
	// Stale are the parts of deltas that the cluster is served without.
	Stale []StalePart
	// Decommissioned reports that every answer is empty because the cluster is decommissioned, and
	// Orphaned that the cluster's file has vanished.
	Decommissioned, Orphaned bool
}

// IsServed reports whether polls of the cluster are answered. It may be nil.
func (r *Rendered) IsServed() bool { return r != nil && r.Inputs != nil }

// Count returns how many inputs the cluster is served. It may be nil.
func (r *Rendered) Count() (n int) {
	if r == nil {
		return 0
	}
	for _, a := range r.Inputs {
		n += len(a.Inputs)
	}
	return n
}

// Evaluation is what became of evaluating a release for every cluster.
type Evaluation struct {
	// Clusters is how many clusters it was evaluated for.
	Clusters int
	// Failing are those that it is not valid for, sorted by name.
	Failing  []FailingCluster
	Problems Problems
	// Impact is what it changes of what clusters are served, and Violations are the limits of the
	// guard that it exceeds. Both are unset where the release is valid for no cluster.
	Impact     *Impact
	Violations []Violation
}
