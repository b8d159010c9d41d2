package fleet

import (
	"maps"
	"slices"
	"time"
)

// State is what the change log adds up to at one generation, as far as it bears on what clusters
// are served. It is immutable.
type State struct {
	// Generation is that of the last change; 0 before the first.
	Generation int64
	// Live is the release of every cluster without an assignment; nil before the first one.
	Live *LiveRelease
	// Assignments are the exceptions, by cluster.
	Assignments map[string]*Assignment
	// Rollout is the one in progress, or nil.
	Rollout *Rollout
	// Candidate is the newest release that the fleet is not going to, because it is held, failed
	// or rejected; zero where the fleet goes to the newest.
	Candidate ReleaseRef
	// Records are the declarations and tombstones of clusters, by cluster.
	Records map[string]*ClusterRecord
	Deltas  Deltas
	Pins    Pins
	// Losses are those that had not ended at the time of the last change, oldest first.
	Losses []*Losses
}

// LiveRelease is the live release, and the change by which it went live.
type LiveRelease struct {
	ReleaseRef
	Generation int64
	At         time.Time
	// Clusters is how many clusters it was rendered for.
	Clusters int
}

// NewState returns the state that a store has.
func NewState(log *LogState) *State {
	s := &State{
		Generation: log.Generation, Live: log.Live, Rollout: log.Rollout, Candidate: log.Candidate,
		Assignments: make(map[string]*Assignment, len(log.Assignments)), Records: make(map[string]*ClusterRecord, len(log.Records)),
		Deltas: NewDeltas(log.Deltas), Pins: NewPins(log.Pins), Losses: log.Losses,
	}
	for _, a := range log.Assignments {
		s.Assignments[a.Cluster] = a
	}
	for _, r := range log.Records {
		s.Records[r.Cluster] = r
	}
	return s
}

// Apply returns the state after a change. Where the change has no generation yet, that of the
// state stays.
func (s *State) Apply(c *Change) *State {
	next := *s
	if c.Generation != 0 {
		next.Generation = c.Generation
	}
	next.Deltas, next.Pins, next.Losses = s.Deltas.With(c.Deltas), s.Pins.With(c.Pins), withLosses(s.Losses, c)
	if len(c.Assignments) > 0 {
		next.Assignments = cloneMap(s.Assignments)
		for _, a := range c.Assignments {
			setOrDelete(next.Assignments, a.Cluster, a.After)
		}
	}
	if c.Kind == WentLive && c.Release != nil {
		next.Live = &LiveRelease{ReleaseRef: c.Release.Ref, Generation: c.Generation, At: c.At, Clusters: c.Release.Clusters}
	}
	if r := c.Rollout; r != nil {
		switch {
		case r.Ended:
			next.Rollout = nil
		case r.Started != nil:
			next.Rollout = r.Started
		case r.Progress != nil && s.Rollout != nil:
			next.Rollout = s.Rollout.with(*r.Progress)
		}
	}
	if c.Candidate != nil {
		next.Candidate = *c.Candidate
	}
	if len(c.Records) > 0 {
		next.Records = cloneMap(s.Records)
		for _, r := range c.Records {
			setOrDelete(next.Records, r.Cluster, r.After)
		}
		for _, name := range c.Purges() {
			if next.Rollout != nil {
				next.Rollout = next.Rollout.without(name)
			}
		}
	}
	return &next
}

func cloneMap[V any](m map[string]*V) map[string]*V {
	if m == nil {
		return map[string]*V{}
	}
	return maps.Clone(m)
}

func setOrDelete[V any](m map[string]*V, key string, value *V) {
	if value == nil {
		delete(m, key)
	} else {
		m[key] = value
	}
}

// LiveRef returns the name of the live release; zero before the first one.
func (s *State) LiveRef() ReleaseRef {
	if s.Live == nil {
		return ReleaseRef{}
	}
	return s.Live.ReleaseRef
}

// On returns the release that a cluster is on: that of its assignment, else the live one. This
// is all that serving asks; no rule is evaluated.
func (s *State) On(cluster string) ReleaseRef {
	if a := s.Assignments[cluster]; a != nil {
		return a.Release
	}
	return s.LiveRef()
}

// ReleasesInUse returns the releases that have to be loaded to serve the state and to decide
// about it, each with one thing that needs it, such as `cluster "edge-1"`.
func (s *State) ReleasesInUse() map[ReleaseRef]string {
	used := map[ReleaseRef]string{}
	for name, a := range s.Assignments {
		used[a.Release] = "cluster " + name
		if a.Previous != nil {
			used[a.Previous.Release] = "cluster " + name
		}
	}
	for _, p := range s.Pins.sorted {
		used[p.Ref()] = "pin " + p.Name
	}
	if s.Rollout != nil {
		used[s.Rollout.Release] = "the rollout"
	}
	if s.Live != nil {
		used[s.Live.ReleaseRef] = "the live release"
	}
	delete(used, ReleaseRef{})
	return used
}

// Lookup finds a compiled release; it returns nil where the release is not loaded.
type Lookup func(ReleaseRef) *Compiled

// Identity returns the cluster by whose labels pins and waves select it: what the live release's
// file says, else the declaration, else what the file of its own release or the last one said,
// else the rollout's file. It is nil where nothing declares the cluster.
//
// Pins do not select by the release that they choose: a pin could undo its own match.
func (s *State) Identity(cluster string, compiled Lookup) *Cluster {
	if c := compiled(s.LiveRef()).File(cluster); c != nil {
		return c
	}
	if r := s.Records[cluster]; r.IsDeclared() {
		return r.Declared.Named(cluster)
	}
	a := s.Assignments[cluster]
	if a != nil {
		if c := compiled(a.Release).File(cluster); c != nil {
			return c
		}
	}
	spec := a != nil && a.Spec != nil
	if spec && a.Spec.File != "" {
		return a.Spec.Named(cluster)
	}
	if s.Rollout != nil {
		if c := compiled(s.Rollout.Release).File(cluster); c != nil {
			return c
		}
	}
	switch {
	case spec: // a declaration that has ended, because the rollout's file contradicts it
		return a.Spec.Named(cluster)
	case a != nil:
		return &Cluster{Name: cluster}
	}
	return nil
}

// Spec returns what a cluster is on a release: what the release's file says, else what its file
// said last, else the live release's file, else its declaration. A cluster that only the API
// declares keeps its declaration under a pin, whatever the pinned release says. It is nil where
// nobody knows what the cluster is.
func (s *State) Spec(cluster string, on *Compiled, reason Reason, last *ClusterSpec, compiled Lookup) *Cluster {
	live := compiled(s.LiveRef()).File(cluster)
	record := s.Records[cluster]
	if c := on.File(cluster); c != nil && !(reason == ReasonPinned && live == nil && record.IsDeclared()) {
		return c
	}
	switch {
	case last != nil:
		return last.Named(cluster)
	case live != nil:
		return live
	case record.IsDeclared():
		return record.Declared.Named(cluster)
	}
	return nil
}

// Names returns the names of all clusters of the state, sorted: those of the live release's
// files, and those with an assignment or a record.
func (s *State) Names(compiled Lookup) []string {
	var names []string
	if live := compiled(s.LiveRef()); live != nil {
		names = slices.Clone(live.Names)
	}
	sorted := len(names)
	names = slices.AppendSeq(names, maps.Keys(s.Assignments))
	names = slices.AppendSeq(names, maps.Keys(s.Records))
	if len(names) == sorted {
		return names
	}
	slices.Sort(names)
	return slices.Compact(names)
}
