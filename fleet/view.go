package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// View is one release, ready to be served to every cluster. It is immutable:
// a request takes it once and reads from it for as long as it likes.
type View struct {
	release Release
	repo    Repo
	sets    []string
	members []*Member          // sorted by name
	byName  map[string]*Member // by name and by dns
}

// Member is a cluster with what it is served.
type Member struct {
	Cluster   Cluster
	Placement Placement
	// Counts has the number of inputs by input set.
	Counts map[string]int
	bodies map[string]*Body
}

// Release is what the view serves.
func (v *View) Release() Release { return v.release }

// Sets are the names of the input sets, in fleet.yaml's order.
func (v *View) Sets() []string { return v.sets }

// Members are all clusters, sorted by name.
func (v *View) Members() []*Member { return v.members }

// Member returns a cluster by its name or dns.
func (v *View) Member(cluster string) (*Member, error) {
	m, ok := v.byName[cluster]
	if !ok {
		return nil, fmt.Errorf("cluster %q: %w", cluster, ErrNotFound)
	}
	return m, nil
}

// Inputs returns the answer to a poll of one of the member's sets.
func (m *Member) Inputs(set string) (*Body, error) {
	body, ok := m.bodies[set]
	if !ok {
		return nil, fmt.Errorf("input set %q: %w", set, ErrNotFound)
	}
	return body, nil
}

// Objects renders the cluster's objects anew: they are for people, and keeping
// every cluster's would cost more memory than all the answers to polls.
func (v *View) Objects(m *Member) ([]Object, error) {
	rendering, problems := v.repo.Render(m.Cluster)
	if faults := problems.Faults(); len(faults) > 0 {
		return nil, faults
	}
	if rendering == nil {
		return nil, fmt.Errorf("cluster %q: %w: it is rendered to nothing", m.Cluster.Name, ErrInvalid)
	}
	return rendering.Objects, nil
}

// Object returns the one object of that kind and name; group and namespace
// narrow the choice where they are not nil. More than one is an ErrConflict
// that names the candidates.
func (v *View) Object(m *Member, kind, name string, group, namespace *string) (Object, error) {
	objects, err := v.Objects(m)
	if err != nil {
		return Object{}, err
	}
	var found []Object
	for _, o := range objects {
		if strings.EqualFold(o.Kind, kind) && o.Name == name &&
			(group == nil || o.Group() == *group) &&
			(namespace == nil || o.Namespace == *namespace) {
			found = append(found, o)
		}
	}
	switch len(found) {
	case 0:
		return Object{}, fmt.Errorf("object %s/%s of cluster %q: %w", kind, name, m.Cluster.Name, ErrNotFound)
	case 1:
		return found[0], nil
	}
	candidates := make([]string, len(found))
	for i, o := range found {
		candidates[i] = fmt.Sprintf("%s %s/%s", o.APIVersion, o.Namespace, o.Name)
	}
	return Object{}, fmt.Errorf("object %s/%s of cluster %q: %w: choose with ?group= or ?namespace= from %s",
		kind, name, m.Cluster.Name, ErrConflict, strings.Join(candidates, ", "))
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
	for _, m := range v.members {
		if selector.Matches(labels.Set(m.Cluster.Labels)) {
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

// Group is the API group of the object, "" for the core group.
func (o Object) Group() string {
	group, _, found := strings.Cut(o.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}
