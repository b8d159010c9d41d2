package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
)

// View is what the change log adds up to, ready to be served to every cluster. It is immutable: a request takes it once and reads from it for as
// long as it likes.
type View struct {
	state
	base    *base                // the live release
	bases   map[releaseKey]*base // all that clusters are on, or may be
	release *Release             // the live one, as the log has it; nil where there is no log
	// members are all clusters, and byName has their places by name and by dns.
	members roster
	byName  map[string]int
	marks   *tracker
}

// Member is a cluster with what it is served.
type Member struct {
	Cluster   *Cluster
	State     ClusterState
	Placement Placement
	// Counts has the number of inputs by input set.
	Counts map[string]int
	// Orphans are the parts of deltas that cannot be applied to it any more.
	Orphans []Orphan

	base      *base
	tombstone *Tombstone       // of a decommissioned one
	lost      error            // why it cannot be served; nil for nearly all
	fault     string           // why there is no rendering, where Counts is nil
	bodies    map[string]*Body // by set
	rendering *Rendering       // the last that there was, if there was one; the next may be the same
	counts    map[string]int   // of that
	marks     *marks
}

// Generation is the place in the change log of the last change that the view
// holds. The same generation has the same bytes everywhere.
func (v *View) Generation() int64 { return v.generation }

// Release is the live one, which clusters are on that nothing keeps on another.
func (v *View) Release() Release {
	if v.release != nil {
		return *v.release
	}
	return v.base.release
}

// Sets are the names of the input sets, in fleet.yaml's order.
func (v *View) Sets() []string { return v.base.sets }

// ResourceSets are the objects that turn inputs into others in the clusters, sorted
// by namespace and name.
func (v *View) ResourceSets() []Object { return v.base.repo.ResourceSets() }

// Members are all clusters, sorted by name. The caller owns the slice, and not what it points to.
func (v *View) Members() []*Member { return v.members.list() }

// Member returns a cluster by its name or dns.
func (v *View) Member(cluster string) (*Member, error) {
	at, ok := v.byName[cluster]
	if !ok {
		return nil, fmt.Errorf("cluster %q: %w", cluster, ErrNotFound)
	}
	return v.members.at(at), nil
}

// Release is what the member is served from.
func (m *Member) Release() Release { return m.base.release }

// Decommissioned is the tombstone of a member that is; else nil.
func (m *Member) Decommissioned() *Tombstone { return m.tombstone }

// Declared is how the API declares the member; nil where it does not.
func (v *View) Declared(m *Member) *Declaration {
	if r := v.records[m.Cluster.Name]; r != nil {
		return r.Declared
	}
	return nil
}

// Inputs returns the answer to a poll of one of the member's sets.
func (m *Member) Inputs(set string) (*Body, error) {
	if m.lost != nil {
		return nil, m.lost
	}
	body, ok := m.bodies[set]
	if !ok {
		return nil, fmt.Errorf("input set %q: %w", set, ErrNotFound)
	}
	return body, nil
}

// Objects makes the cluster's objects anew: they are for people, and keeping
// every cluster's would cost more memory than all the answers to polls.
func (v *View) Objects(m *Member) ([]Object, error) {
	return m.objects(v.deltas.of(m.Cluster), nil)
}

// objects are those that the cluster would have with those deltas, as far as they are wanted;
// all where that is nil.
func (m *Member) objects(deltas []*Delta, wanted func(Object) bool) ([]Object, error) {
	switch {
	case m.State == DecommissionedState:
		return nil, nil
	case m.lost != nil:
		return nil, m.lost
	}
	rendering, problems := m.base.repo.Render(m.Cluster, deltas, m.rendering)
	if faults := problems.Faults(); len(faults) > 0 {
		return nil, faults
	}
	if rendering == nil {
		return nil, fmt.Errorf("cluster %q: %w: it is rendered to nothing", m.Cluster.Name, ErrInvalid)
	}
	return rendering.Made.Objects(wanted), nil
}

// Object returns the one object of that name. More than one is an ErrConflict
// that names the candidates.
func (v *View) Object(m *Member, name ObjectName) (Object, error) {
	objects, err := m.objects(v.deltas.of(m.Cluster), name.is)
	if err != nil {
		return Object{}, err
	}
	o, err := name.in(objects)
	if err != nil {
		return Object{}, fmt.Errorf("object %s/%s of cluster %q: %w", name.Kind, name.Name, m.Cluster.Name, err)
	}
	return o, nil
}

// ClusterInputs answers with the clusters themselves as inputs, for a
// management cluster. An empty answer would tell that cluster to delete all it
// made, so a selector that matches nothing is an ErrNotFound.
func (v *View) ClusterInputs(selector labels.Selector) (*Body, error) {
	type input struct {
		Cluster Identity `json:"cluster"`
		ID      string   `json:"id"`
	}
	inputs := []input{}
	for _, m := range v.members.all() {
		if m.State != DecommissionedState && selector.Matches(labels.Set(m.Cluster.Labels)) {
			inputs = append(inputs, input{ID: m.Cluster.Name, Cluster: m.Cluster.Identity()})
		}
	}
	if len(inputs) == 0 {
		return nil, fmt.Errorf("clusters matching %q: %w", selector, ErrNotFound)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]any{"inputs": inputs}); err != nil {
		return nil, err
	}
	if len(inputs) > MaxInputs || b.Len() > MaxBody {
		return nil, fmt.Errorf("%d clusters in %d bytes: %w for one answer (at most %d in %d bytes): narrow it with ?selector=",
			len(inputs), b.Len(), ErrTooLarge, MaxInputs, MaxBody)
	}
	return NewBody(b.Bytes()), nil
}
