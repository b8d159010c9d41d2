// Package view is what the change log adds up to, ready to be served.
//
// A [View] is immutable. A request takes it once, from the controller, and reads from it for as
// long as it likes:
//
//	m, err := v.Member("edge-1")          // by name or dns
//	body, err := m.Body("components")     // the answer to a poll
//	w.Write(body.Gzip())
//
// The controller builds the next view beside the one that is served: [Build] makes one of a state
// and its releases, [View.Next] makes one in which a few clusters differ. Members that stay as they
// were are shared. The package decides nothing: which release a cluster is on is in the state, and
// [View.Why] says why in a sentence.
package view

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

// Releases are compiled releases by name.
type Releases map[fleet.ReleaseRef]*fleet.Compiled

// View is what clusters are served at one generation. It is immutable once it is published.
//
// The members are sorted by name. Each is resolved from the state and the compiled releases alone,
// so that the same generation has the same bytes on every server.
type View struct {
	state    *fleet.State
	live     *fleet.Compiled
	compiled Releases
	release  *fleet.Release // the live one as the log has it; nil without a log
	members  []*Member
	byName   map[string]int // places by name and dns
	renders  *Renders
}

func (v *View) lookup(ref fleet.ReleaseRef) *fleet.Compiled { return v.compiled[ref] }

// Compiled returns a release that the view has loaded, or nil. The view may be nil.
func (v *View) Compiled(ref fleet.ReleaseRef) *fleet.Compiled {
	if v == nil {
		return nil
	}
	return v.compiled[ref]
}

// Releases returns the releases that the view has loaded. The caller must not modify them.
func (v *View) Releases() Releases {
	if v == nil {
		return nil
	}
	return v.compiled
}

// With returns the releases that the view has loaded, and one more, which may be nil. The view may be
// nil, too.
func (v *View) With(c *fleet.Compiled) Releases {
	all := Releases{}
	maps.Copy(all, v.Releases())
	if c != nil {
		all[c.Ref] = c
	}
	return all
}

// State returns the state that the view shows.
func (v *View) State() *fleet.State { return v.state }

// Live returns the live release.
func (v *View) Live() *fleet.Compiled { return v.live }

// Generation returns that of the last change that the view holds. The same generation has the
// same bytes everywhere.
func (v *View) Generation() int64 { return v.state.Generation }

// Release returns the live release as the log has it.
func (v *View) Release() fleet.Release {
	if v.release != nil {
		return *v.release
	}
	return fleet.Release{ID: v.live.Ref.ID(), Revision: v.live.Ref.Revision, Digest: v.live.Ref.Snapshot, State: fleet.Live, At: v.live.At, Clusters: len(v.members)}
}

// Sets returns the names of the input sets, in fleet.yaml's order.
func (v *View) Sets() []string { return v.live.Sets }

// ResourceSets returns the objects that turn inputs into others in the clusters, sorted by
// namespace and name.
func (v *View) ResourceSets() []fleet.Object { return v.live.Repo.ResourceSets() }

// Guard returns the guard in force, that of the live release.
func (v *View) Guard() fleet.Guard { return v.live.Repo.Guard() }

// Members returns all clusters, sorted by name. The caller must not modify the slice.
func (v *View) Members() []*Member { return v.members }

// Member returns a cluster by its name or dns, or an ErrNotFound.
func (v *View) Member(cluster string) (*Member, error) {
	at, ok := v.byName[cluster]
	if !ok {
		return nil, fmt.Errorf("cluster %q: %w", cluster, fleet.ErrNotFound)
	}
	return v.members[at], nil
}

// Named returns the cluster of a name, or nil. The view may be nil.
func (v *View) Named(name string) *Member {
	if v == nil {
		return nil
	}
	if at, ok := v.byName[name]; ok && v.members[at].Cluster.Name == name {
		return v.members[at]
	}
	return nil
}

// Owner returns what the cluster is served that is found by a dns, or nil.
func (v *View) Owner(dns string) *fleet.Rendered {
	if at, ok := v.byName[dns]; ok {
		return &v.members[at].Rendered
	}
	return nil
}

// CountListed returns how many clusters the list of a selector has.
func (v *View) CountListed(selector labels.Selector) (n int) {
	for _, m := range v.members {
		if m.isListed(selector) {
			n++
		}
	}
	return n
}

// Cluster returns what the cluster of a name is, or nil.
func (v *View) Cluster(name string) *fleet.Cluster {
	if m := v.Named(name); m != nil {
		return m.Cluster
	}
	return nil
}

// InputCount returns how many inputs the view serves.
func (v *View) InputCount() (n int) {
	for _, m := range v.members {
		n += m.Count()
	}
	return n
}

// Declared returns how the API declares the member, or nil.
func (v *View) Declared(m *Member) *fleet.Declaration {
	if r := v.state.Records[m.Cluster.Name]; r != nil {
		return r.Declared
	}
	return nil
}

// Identity returns the cluster by whose labels pins and waves select a member; nil where nothing
// declares it.
func (v *View) Identity(name string) *fleet.Cluster { return v.state.Identity(name, v.lookup) }

// Objects returns the member's objects.
func (v *View) Objects(ctx context.Context, m *Member) ([]fleet.Object, error) {
	return m.Objects(ctx, v.state.Deltas.For(m.Cluster), nil)
}

// Object returns the member's one object of a name. It is an ErrConflict that lists the candidates
// where there are several.
func (v *View) Object(ctx context.Context, m *Member, name fleet.ObjectName) (fleet.Object, error) {
	objects, err := m.Objects(ctx, v.state.Deltas.For(m.Cluster), name.Matches)
	if err != nil {
		return fleet.Object{}, err
	}
	o, err := name.Find(objects)
	if err != nil {
		return fleet.Object{}, fmt.Errorf("object %s/%s of cluster %q: %w", name.Kind, name.Name, m.Cluster.Name, err)
	}
	return o, nil
}

// Deltas returns those in force, sorted by ID.
func (v *View) Deltas() []*fleet.Delta { return v.state.Deltas.List() }

// Delta returns a delta by its ID, or an ErrNotFound.
func (v *View) Delta(id string) (*fleet.Delta, error) {
	d := v.state.Deltas.Get(id)
	if d == nil {
		return nil, fmt.Errorf("%s: %w", fleet.DescribeDelta(id), fleet.ErrNotFound)
	}
	return d, nil
}

// DeltaUsage is what a delta is used for.
type DeltaUsage struct {
	// Clusters is how many clusters it is for.
	Clusters int
	// Stale are the members that are served without parts of it.
	Stale []*Member
}

// DeltaUsage returns the usage of each delta, by ID.
func (v *View) DeltaUsage() map[string]DeltaUsage {
	all := map[string]DeltaUsage{}
	for _, m := range v.members {
		for _, d := range v.state.Deltas.For(m.Cluster) {
			u := all[d.ID()]
			u.Clusters++
			if slices.ContainsFunc(m.Stale, func(s fleet.StalePart) bool { return s.Delta == d.ID() }) {
				u.Stale = append(u.Stale, m)
			}
			all[d.ID()] = u
		}
	}
	return all
}

// Affected returns the names of the clusters that any of the changes is for, before or after it.
// A decommissioned cluster has nothing that could change.
func (v *View) Affected(changes []fleet.DeltaChange) map[string]bool {
	found := map[string]bool{}
	for _, c := range changes {
		for _, d := range []*fleet.Delta{c.Before, c.After} {
			switch {
			case d == nil:
			case d.Cluster != "":
				if m := v.Named(d.Cluster); m != nil && m.State != fleet.ClusterDecommissioned {
					found[d.Cluster] = true
				}
			default:
				matcher := d.Scope.Matcher()
				for _, m := range v.members {
					if m.State != fleet.ClusterDecommissioned && matcher.Matches(m.Cluster) {
						found[m.Cluster.Name] = true
					}
				}
			}
		}
	}
	return found
}

// Pins returns those in force, sorted by name.
func (v *View) Pins() []*fleet.Pin { return v.state.Pins.List() }

// Pin returns the pin that is for a member, or nil.
func (v *View) Pin(m *Member) *fleet.Pin {
	if v.state.Pins.Len() == 0 || m.State != fleet.ClusterActive {
		return nil
	}
	if identity := v.Identity(m.Cluster.Name); identity != nil {
		return v.state.Pins.For(identity)
	}
	return nil
}

// ClusterInputs returns an answer with the clusters themselves as inputs, for a management
// cluster. It is an ErrNotFound where the selector matches none, since an empty answer would have
// that cluster delete all that it made, and an ErrTooLarge where the answer exceeds what Flux
// Operator accepts.
func (v *View) ClusterInputs(selector labels.Selector) (*Body, error) {
	type input struct {
		Cluster fleet.Identity `json:"cluster"`
		ID      string         `json:"id"`
	}
	inputs := []input{}
	for _, m := range v.members {
		if m.isListed(selector) {
			inputs = append(inputs, input{ID: m.Cluster.Name, Cluster: m.Cluster.Identity()})
		}
	}
	if len(inputs) == 0 {
		return nil, fmt.Errorf("clusters matching %q: %w", selector, fleet.ErrNotFound)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]any{"inputs": inputs}); err != nil {
		return nil, err
	}
	if len(inputs) > fleet.MaxInputs || b.Len() > fleet.MaxBody {
		return nil, fmt.Errorf("%d clusters in %d bytes: %w for one answer (at most %d in %d bytes); narrow it with a selector",
			len(inputs), b.Len(), fleet.ErrTooLarge, fleet.MaxInputs, fleet.MaxBody)
	}
	return TextBody(b.Bytes()), nil
}

// isListed reports whether the list of a selector has the member.
func (m *Member) isListed(selector labels.Selector) bool {
	return m.State != fleet.ClusterDecommissioned && selector.Matches(labels.Set(m.Cluster.Labels))
}

// ClusterVersion returns a text that changes whenever anything changes that the view says about a
// member: what it is, what it is served and why. It is empty for nil.
func (v *View) ClusterVersion(m *Member) string {
	if m == nil {
		return ""
	}
	h := sha256.New()
	name := m.Cluster.Name
	pin := ""
	if p := v.Pin(m); p != nil {
		pin = p.Name
	}
	for _, part := range []any{m.Cluster, m.State, m.Placement, m.Counts(), m.Stale, m.on, v.state.Records[name], v.state.Assignments[name], v.Why(m), pin} {
		_, _ = h.Write(fleet.EncodeJSON(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
