package soaktest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

// model is what the change log adds up to at one generation. It folds the log apart from
// fleet.State, has the rule that says where a cluster should be a second time, and renders each
// cluster on its own, from nothing. It is immutable but for with.
type model struct {
	*library
	generation int64
	live       fleet.ReleaseRef
	candidate  fleet.ReleaseRef
	rows       map[string]*fleet.Assignment
	rollout    *fleet.Rollout
	records    map[string]*fleet.ClusterRecord
	deltas     map[string]*fleet.Delta
	pins       map[string]*fleet.Pin
	losses     []*fleet.Losses
}

// library has the commits, by revision, what was rendered of them, and who polled what.
type library struct {
	commits  map[string]*commit
	polled   polledBy
	compiled map[string]*repo
	rendered map[string]*cluster
}

type repo struct {
	fleet.Repo
	files map[string]*fleet.Cluster
}

// cluster is one cluster as it is served.
type cluster struct {
	spec     *fleet.Cluster
	state    fleet.ClusterState
	release  fleet.ReleaseRef
	sets     map[string]answer // nil where polls are answered 503
	stale    []fleet.Part
	problems fleet.Problems
	deltas   []*fleet.Delta // that it was rendered with
}

// answer is the answer to a poll of one set.
type answer struct {
	text string
	ids  []string
}

func newModel() model {
	return model{library: &library{
		commits: map[string]*commit{}, compiled: map[string]*repo{}, rendered: map[string]*cluster{},
		polled: polledBy{lists: map[string]labels.Selector{}, last: map[[2]string]lastPoll{}},
	}}
}

// with returns the model after a change, which must say of everything what it was before.
func (m model) with(c *fleet.Change) (next model, wrong []string) {
	next = m
	if next.generation++; c.Generation != next.generation {
		return next, []string{fmt.Sprintf("generation %d comes after %d", c.Generation, m.generation)}
	}
	note := func(what string) {
		if what != "" {
			wrong = append(wrong, what)
		}
	}
	next.rows, next.records, next.deltas, next.pins = copied(m.rows), copied(m.records), copied(m.deltas), copied(m.pins)
	next.losses = slices.DeleteFunc(slices.Clone(m.losses), func(l *fleet.Losses) bool { return !l.Until.After(c.At) })
	if c.Losses != nil {
		next.losses = append(next.losses, c.Losses)
	}
	for _, a := range c.Assignments {
		note(put(next.rows, a.Cluster, a.Before, a.After))
	}
	for _, d := range c.Deltas {
		note(put(next.deltas, d.Delta, d.Before, d.After))
	}
	for _, p := range c.Pins {
		note(put(next.pins, p.Pin, p.Before, p.After))
	}
	if c.Release != nil && c.Release.To == fleet.Live {
		next.live = c.Release.Ref
	}
	if c.Candidate != nil {
		next.candidate = *c.Candidate
	}
	if r := c.Rollout; r != nil && r.Started != nil {
		next.rollout = r.Started
	} else if r != nil && r.Ended {
		next.rollout = nil
	} else if r != nil {
		next.rollout = &fleet.Rollout{Release: m.rollout.Release, Waves: m.rollout.Waves, New: m.rollout.New, RolloutProgress: *r.Progress}
	}
	for _, r := range c.Records {
		note(put(next.records, r.Cluster, r.Before, r.After))
		if c.Kind == fleet.Purged {
			maps.DeleteFunc(m.polled.last, func(of [2]string, _ lastPoll) bool { return of[0] == r.Cluster })
			if next.rollout != nil {
				next.rollout = purged(*next.rollout, r.Cluster)
			}
		}
	}
	return next, wrong
}

func copied[V any](all map[string]*V) map[string]*V {
	if all == nil {
		return map[string]*V{}
	}
	return maps.Clone(all)
}

// put replaces a value, and returns what is wrong with the one before it.
func put[V any](all map[string]*V, key string, before, after *V) (wrong string) {
	if was := encode(all[key]); was != encode(before) {
		wrong = fmt.Sprintf("%s was\n%s\nand the log says that it was\n%s", key, was, encode(before))
	}
	delete(all, key)
	if after != nil {
		all[key] = after
	}
	return wrong
}

// purged returns a rollout without a cluster.
func purged(r fleet.Rollout, name string) *fleet.Rollout {
	is := func(one string) bool { return one == name }
	if r.Step < len(r.Waves) && slices.Contains(r.Waves[r.Step].Clusters[:r.Part], name) {
		r.Part--
	}
	r.New, r.Waves = slices.DeleteFunc(slices.Clone(r.New), is), slices.Clone(r.Waves)
	for i := range r.Waves {
		r.Waves[i].Clusters = slices.DeleteFunc(slices.Clone(r.Waves[i].Clusters), is)
	}
	return &r
}

// differs returns how the model differs from what a store has loaded; "" where it does not.
func (m model) differs(log *fleet.LogState) string {
	var live fleet.ReleaseRef
	if log.Live != nil {
		live = log.Live.ReleaseRef
	}
	for _, pair := range [][2]any{
		{m.generation, log.Generation}, {m.live, live}, {m.candidate, log.Candidate}, {m.rollout, log.Rollout}, {inOrder(m.rows), log.Assignments},
		{inOrder(m.records), log.Records}, {inOrder(m.deltas), log.Deltas}, {inOrder(m.pins), log.Pins},
		{m.losses, log.Losses},
	} {
		folded, stored := pair[0], pair[1]
		if encode(folded) != encode(stored) && (reflect.ValueOf(folded).Kind() != reflect.Slice || reflect.ValueOf(folded).Len()+reflect.ValueOf(stored).Len() > 0) {
			return fmt.Sprintf("the log adds up to\n%s\nand the store has\n%s", encode(folded), encode(stored))
		}
	}
	return ""
}

func inOrder[V any](all map[string]*V) []*V {
	list := []*V{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[key])
	}
	return list
}

// target is where a cluster should be, and why.
type target struct {
	release fleet.ReleaseRef
	reason  fleet.Reason // empty for the live release
	pin     string
}

// desired returns where a cluster should be: the first that applies of a tombstone, an Orphaned
// row, a pin, the rollout that has reached it, a Superseded row, and the live release.
func (m model) desired(name string) (t target, somewhere bool) {
	row := m.rows[name]
	if m.isDecommissioned(name) {
		return target{}, false
	}
	if row != nil && row.Reason == fleet.ReasonOrphaned {
		return target{release: row.Release, reason: fleet.ReasonOrphaned}, true
	}
	if p := m.pinFor(name); p != nil {
		return target{fleet.ReleaseRef{Revision: p.Revision, Snapshot: p.Snapshot}, fleet.ReasonPinned, p.Name}, true
	}
	if m.isReached(name) {
		return target{release: m.rollout.Release, reason: fleet.ReasonRollout}, true
	}
	for r := row; r != nil; r = r.Previous {
		if r.Reason == fleet.ReasonSuperseded {
			return target{release: r.Release, reason: fleet.ReasonSuperseded}, true
		}
	}
	return target{release: m.live}, true
}

// isReached reports whether the rollout has reached a cluster.
func (m model) isReached(name string) bool {
	if m.rollout == nil {
		return false
	}
	reached := slices.Clone(m.rollout.New)
	for i, w := range m.rollout.Waves {
		if i < m.rollout.Step {
			reached = append(reached, w.Clusters...)
		} else if i == m.rollout.Step {
			reached = append(reached, w.Clusters[:m.rollout.Part]...)
		}
	}
	return slices.Contains(reached, name)
}

// pinFor returns the pin of a cluster: one that names it, else the first by name that selects it.
func (m model) pinFor(name string) *fleet.Pin {
	labels, sorted := m.labels(name), slices.Sorted(maps.Keys(m.pins))
	for _, pin := range sorted {
		if slices.Contains(m.pins[pin].Clusters, name) {
			return m.pins[pin]
		}
	}
	for _, pin := range sorted {
		if p := m.pins[pin]; p.Selector != nil && matches(p.Selector, labels) {
			return p
		}
	}
	return nil
}

// labels returns those by which pins and waves select a cluster: the ones in live's file, else the
// declaration, else the row's file or Spec, else the rollout's file. A Spec that was a declaration, which
// the rollout's file has ended, comes last.
func (m model) labels(name string) map[string]string {
	row := m.rows[name]
	if f := m.file(m.live, name); f != nil {
		return f.Labels
	}
	if d := m.declaration(name); d != nil {
		return d.Labels
	}
	if row != nil && m.file(row.Release, name) != nil {
		return m.file(row.Release, name).Labels
	}
	if row != nil && row.Spec != nil && row.Spec.File != "" {
		return row.Spec.Labels
	}
	if m.rollout != nil && m.file(m.rollout.Release, name) != nil {
		return m.file(m.rollout.Release, name).Labels
	}
	if row != nil && row.Spec != nil {
		return row.Spec.Labels
	}
	return nil
}

// specOn returns what a cluster is on a release: what the release's file says, else Spec, else live's
// file, else its declaration. One that only the API declares keeps its declaration under a pin.
func (m model) specOn(t target, name string, last *fleet.ClusterSpec) *fleet.Cluster {
	d, live := m.declaration(name), m.file(m.live, name)
	if t.reason == fleet.ReasonPinned && live == nil && d != nil && last == nil {
		return d
	}
	if f := m.file(t.release, name); f != nil {
		return f
	}
	if last != nil {
		return last.Named(name)
	}
	if live != nil {
		return live
	}
	return d
}

func (m model) declaration(name string) *fleet.Cluster {
	if r := m.records[name]; r != nil && r.Declared != nil {
		return r.Declared.Named(name)
	}
	return nil
}

func (m model) isDecommissioned(name string) bool {
	r := m.records[name]
	return r != nil && r.Decommissioned != nil
}

// names returns all clusters: those in live's files, those with a row, and those with a record.
func (m model) names() []string {
	all := map[string]bool{}
	for name := range m.repo(m.live).files {
		all[name] = true
	}
	for name := range m.rows {
		all[name] = true
	}
	for name := range m.records {
		all[name] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// clusters returns all clusters as they are served.
func (m model) clusters() map[string]*cluster {
	all := map[string]*cluster{}
	if !m.live.IsZero() {
		for _, name := range m.names() {
			all[name] = m.cluster(name)
		}
	}
	return all
}

// cluster returns one cluster as it is served, by its row alone.
func (m model) cluster(name string) *cluster {
	if m.isDecommissioned(name) {
		t := m.records[name].Decommissioned
		c := &cluster{spec: &fleet.Cluster{Name: name, DNS: t.DNS, Labels: t.Labels}, state: fleet.ClusterDecommissioned, sets: map[string]answer{}}
		for _, set := range append(slices.Clone(t.Sets), m.repo(m.live).Sets()...) {
			c.sets[set] = answer{text: `{"inputs":[]}`}
		}
		return c
	}
	at := target{release: m.live}
	var last *fleet.ClusterSpec
	row := m.rows[name]
	if row != nil {
		at, last = target{release: row.Release, reason: row.Reason}, row.Spec
	}
	c := *m.render(at.release, m.specOn(at, name, last))
	if c.state = fleet.ClusterActive; row != nil && row.Reason == fleet.ReasonOrphaned {
		c.state = fleet.ClusterOrphaned
	}
	if c.spec == nil {
		c.spec = &fleet.Cluster{Name: name, Labels: m.labels(name)}
	}
	return &c
}

// render returns what a cluster is served on a release with the deltas in force.
func (m model) render(ref fleet.ReleaseRef, spec *fleet.Cluster) *cluster {
	c := &cluster{spec: spec, release: ref}
	if ref.IsZero() || spec == nil {
		return c
	}
	c.deltas = m.deltasOf(spec)
	key := ref.Revision + spec.Name + encode(fleet.SpecOf(spec))
	for _, d := range c.deltas {
		key += fmt.Sprintf(" %p", d)
	}
	if known := m.rendered[key]; known != nil {
		return known
	}
	rendering, problems := m.repo(ref).Render(context.Background(), spec, c.deltas, nil)
	c.problems = problems.Faults()
	if rendering != nil {
		c.sets = map[string]answer{}
		for set, a := range rendering.Inputs {
			one := answer{text: string(a.JSON())}
			for _, in := range a.Inputs {
				one.ids = append(one.ids, in.ID)
			}
			c.sets[set] = one
		}
		for _, s := range rendering.Stale {
			c.stale = append(c.stale, s.Part)
		}
	}
	if len(m.rendered) > 5000 {
		clear(m.rendered)
	}
	m.rendered[key] = c
	return c
}

// deltasOf returns the deltas of a cluster in their order: by priority and name, its own last.
func (m model) deltasOf(c *fleet.Cluster) (list []*fleet.Delta) {
	for _, d := range m.deltas {
		if d.Cluster == c.Name || slices.Contains(d.Clusters, c.Name) || d.Selector != nil && matches(d.Selector, c.Labels) {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b *fleet.Delta) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// matches reports whether labels are selected. No selector of this test has expressions.
func matches(s *fleet.Selector, labels map[string]string) bool {
	for key, value := range s.MatchLabels {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// file returns the cluster as the file of a release declares it, or nil.
func (l *library) file(ref fleet.ReleaseRef, name string) *fleet.Cluster {
	return l.repo(ref).files[name]
}

// repo returns a compiled commit. That of no release is empty.
func (l *library) repo(ref fleet.ReleaseRef) *repo {
	r := l.compiled[ref.Revision]
	if r != nil || ref.IsZero() {
		return cmp.Or(r, &repo{})
	}
	compiled, err := render.Renderer{}.Compile(context.Background(), l.commits[ref.Revision].tree())
	if err != nil {
		panic(err)
	}
	r = &repo{Repo: compiled, files: map[string]*fleet.Cluster{}}
	for _, c := range compiled.Clusters() {
		r.files[c.Name] = c
	}
	if len(l.compiled) > 60 { // those in use are compiled once more
		clear(l.compiled)
	}
	l.compiled[ref.Revision] = r
	return r
}
