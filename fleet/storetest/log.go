package storetest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// noon is when the changes of tests are made, one a second.
var noon = time.Date(2026, 3, 29, 12, 0, 0, 123456000, time.UTC)

// strange is text that has gone wrong somewhere before: quotes, what looks like a parameter, what
// is more than one UTF-16 unit, and a letter in two forms.
const strange = "'\"\\`; DROP TABLE changes; -- $1 ? %s :x @x \u2028 🌊 é é <b>&amp;</b> \t\r\n \x01\x7f"

// written returns a change of deltas.
func written(generation int64, deltas ...fleet.DeltaChange) *fleet.Change {
	c := &fleet.Change{
		Generation: generation, At: noon.Add(time.Duration(generation) * time.Second),
		Kind: fleet.Written, Actor: "ada", Deltas: deltas,
	}
	c.Sort()
	return c
}

// about returns a change by which a release enters a state.
func about(kind fleet.ChangeKind, generation int64, snapshot string, from, to fleet.ReleaseState) *fleet.Change {
	c := written(generation)
	c.Kind, c.Actor = kind, fleet.OwnActor
	c.Release = &fleet.ReleaseEvent{Ref: ref(snapshot), Clusters: 12, From: from, To: to}
	return c
}

// released returns a change by which a release goes live.
func released(generation int64, snapshot string) *fleet.Change {
	return about(fleet.WentLive, generation, snapshot, "", fleet.Live)
}

const revisionPrefix = "main@sha1:"

// ref returns the name of the release of a snapshot.
func ref(snapshot string) fleet.ReleaseRef {
	return fleet.ReleaseRef{Revision: revisionPrefix + snapshot, Snapshot: digest(snapshot)}
}

func digest(snapshot string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(snapshot)))
}

func packed(snapshot string) *fleet.Packed {
	return &fleet.Packed{Digest: digest(snapshot), Data: []byte("the tree of " + snapshot), Parts: []fleet.PackedPart{
		{Digest: digest("shared"), Data: []byte("what all have")}, {Digest: digest("part of " + snapshot), Data: []byte("what only this one has")},
	}}
}

// named returns a delta with a reason that distinguishes it from others of its name.
func named(name, reason string) *fleet.Delta {
	return &fleet.Delta{
		Name: name, Scope: fleet.Scope{Clusters: []string{"eu-prod-01"}}, Reason: reason,
		Edits: []fleet.Edit{{Kind: "PlatformComponent", Name: "keda", Patch: json.RawMessage(`{"spec":{"replicas":3}}`)}},
	}
}

// set returns the creation of a named delta.
func set(name, reason string) fleet.DeltaChange {
	return fleet.DeltaChange{Delta: fleet.DeltaID(name), After: named(name, reason)}
}

// record returns a declaration with a label that distinguishes it from others of the cluster.
func record(name, label string) *fleet.ClusterRecord {
	return &fleet.ClusterRecord{Cluster: name, Since: 7, Declared: &fleet.Declaration{
		DNS: name + ".example.com", Labels: map[string]string{"label": label}, Resources: []json.RawMessage{json.RawMessage(`{"kind":"A"}`)},
	}}
}

// decommissioned returns the record of a cluster that had an assignment.
func decommissioned(name string, row *fleet.Assignment) *fleet.ClusterRecord {
	r := record(name, "gone")
	r.Decommissioned = &fleet.Tombstone{
		Generation: 3, At: noon, DNS: name + ".example.com", Labels: map[string]string{strange: strange}, Sets: []string{"apps"}, Row: row,
	}
	return r
}

// token returns one whose secrets follow from its ID.
func token(id string) *fleet.Token {
	return &fleet.Token{
		ID: id, Name: "token " + id, Role: fleet.RoleCluster, Cluster: "eu-01", CreatedAt: noon,
		TokenSecret: fleet.TokenSecret{Hash: fleet.HashToken(id), Salt: []byte("salt\x00" + id), Proof: []byte("proof of " + id)},
	}
}

// pin returns one to the release of a snapshot.
func pin(name, snapshot string) *fleet.Pin {
	on := ref(snapshot)
	return &fleet.Pin{
		Name: name, Scope: fleet.Scope{Selector: &fleet.Selector{MatchLabels: map[string]string{"ring": name}}}, Reason: strange,
		Release: on.ID(), Revision: on.Revision, Snapshot: on.Snapshot,
	}
}

// assigned returns an assignment to the release of a snapshot.
func assigned(cluster, snapshot string, reason fleet.Reason, since int64) *fleet.Assignment {
	return &fleet.Assignment{Cluster: cluster, Release: ref(snapshot), Reason: reason, Since: since}
}

// spec returns what a cluster's file said last.
func spec(cluster string) *fleet.ClusterSpec {
	return &fleet.ClusterSpec{
		File: "clusters/" + cluster + ".yaml", DNS: cluster + ".example.com", Labels: map[string]string{"environment": strange},
		Overlay: "overlays/prod", Components: []string{"components/a"}, Resources: []string{"kind: A # " + strange + "\n"},
		Patches: []fleet.Patch{{Patch: strange, Target: &fleet.Target{Kind: "A"}, Options: fleet.PatchOptions{AllowKindChange: true}}},
	}
}

// rollout returns that of a snapshot's release, which has reached one wave of two.
func rollout(c *fleet.Change, snapshot string) *fleet.Rollout {
	return &fleet.Rollout{
		Release: ref(snapshot), New: []string{"new-01"},
		Waves: []fleet.Wave{
			{Name: "canary", Clusters: []string{"eu-01"}, Soak: time.Minute, Polled: 90},
			{Name: strange, Clusters: []string{"ap-01", "us-01"}, Manual: true},
		},
		RolloutProgress: fleet.RolloutProgress{Step: 1, Since: c.At, Generation: c.Generation},
	}
}

// impact returns one that a text distinguishes from others.
func impact(text string) *fleet.Impact {
	return &fleet.Impact{Digest: digest("impact " + text), Clusters: 1, Removed: 1, Groups: []fleet.ImpactGroup{
		{Clusters: []string{"eu-01"}, Changes: []fleet.InputEffect{{Set: "apps", ID: text, Effect: fleet.Removed}}},
	}}
}

// release returns the document of the release that a change is about. Its impact distinguishes it
// from what it was earlier.
func release(c *fleet.Change) *fleet.Release {
	on := c.Release.Ref
	return &fleet.Release{
		ID: on.ID(), Revision: on.Revision, Digest: on.Snapshot, State: c.Release.To,
		At: c.At, Generation: c.Generation, Clusters: c.Release.Clusters, Impact: impact(fmt.Sprint(c.Generation)),
	}
}

// withoutGroups returns a release as it is where the groups of its impact are left out.
func withoutGroups(r *fleet.Release) *fleet.Release {
	short := *r
	if r.Impact != nil {
		impact := *r.Impact
		short.Impact, impact.Groups = &impact, nil
	}
	return &short
}

// log is a change log as it should be.
type log []fleet.Change

// next returns the generation of the next change.
func (l log) next() int64 { return int64(len(l) + 1) }

// state returns the fold of the log.
func (l log) state() *fleet.State {
	state := fleet.NewState(&fleet.LogState{})
	for i := range l {
		state = state.Apply(&l[i])
	}
	return state
}

// loaded returns what a store should load.
func (l log) loaded() *fleet.LogState {
	state := logState(l.state())
	state.Tokens, state.Releases = l.tokens(), l.present()
	return state
}

// at returns what StateAt should return of a generation.
func (l log) at(generation int64) *fleet.LogState {
	state := l[:generation].state()
	return &fleet.LogState{Generation: generation, Deltas: orNil(state.Deltas.List()), Records: inOrder(state.Records)}
}

// tokens returns the tokens as they are in the end.
func (l log) tokens() []*fleet.Token {
	all := map[string]*fleet.Token{}
	for _, c := range l {
		for _, t := range c.Tokens {
			all[t.Token] = t.After
		}
	}
	return inOrder(all)
}

// releases returns the documents of all releases as they are in the end, by ID.
func (l log) releases() map[string]*fleet.Release {
	all := map[string]*fleet.Release{}
	for _, c := range l {
		for _, r := range c.Releases {
			all[r.ID] = r
		}
	}
	return all
}

// present returns the live release, that of the rollout and the candidate, without groups.
func (l log) present() []*fleet.Release {
	state := l.state()
	ids := []string{state.LiveRef().ID()}
	if state.Rollout != nil {
		ids = append(ids, state.Rollout.Release.ID())
	}
	ids = append(ids, state.Candidate.ID())
	all := l.releases()
	var present []*fleet.Release
	for i, id := range ids {
		if r := all[id]; r != nil && !slices.Contains(ids[:i], id) {
			present = append(present, withoutGroups(r))
		}
	}
	return present
}

// supersede returns the documents that change when a release goes live: its own, and that of the
// release that it supersedes.
func (l log) supersede(c *fleet.Change) []*fleet.Release {
	changed := []*fleet.Release{release(c)}
	if live := l.state().Live; live != nil && live.ID() != c.Release.Ref.ID() {
		if old := l.releases()[live.ID()]; old != nil {
			old := withoutGroups(old)
			old.State, old.SupersededAt = fleet.Superseded, c.At
			changed = append(changed, old)
		}
	}
	return changed
}

// appendTo appends the log to a store, and saves the snapshots that it names.
func (l log) appendTo(t testing.TB, s Store) {
	t.Helper()
	for _, c := range l {
		for _, on := range neededRefs(&c) {
			snapshot, ours := strings.CutPrefix(on.Revision, revisionPrefix)
			if !ours || on.Snapshot == "" {
				continue
			}
			if err := s.SaveSnapshot(t.Context(), packed(snapshot)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Append(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
	}
}

// neededRefs returns the releases whose snapshots a change needs.
func neededRefs(c *fleet.Change) (refs []fleet.ReleaseRef) {
	if c.Release != nil {
		refs = append(refs, c.Release.Ref)
	}
	if c.Rollout != nil && c.Rollout.Started != nil {
		refs = append(refs, c.Rollout.Started.Release)
	}
	for _, p := range c.Pins {
		if p.After != nil {
			refs = append(refs, p.After.Ref())
		}
	}
	return refs
}

var clusters = []string{"ap-01", "eu-01", "us-01"}

// random returns a log of n changes of every kind, over few names so that each change matters to
// others.
func random(r *rand.Rand, n int) log {
	var l log
	for range n {
		var c *fleet.Change
		switch r.IntN(6) {
		case 0:
			c = l.randomLive(r)
		case 1, 2:
			c = l.randomRollout(r)
		default:
			c = l.randomWrite(r)
		}
		if len(c.Assignments) == 0 && r.IntN(3) == 0 {
			c.Assignments = l.randomAssignments(r, c.Generation)
		}
		c.Sort()
		l = append(l, *c)
	}
	return l
}

// randomLive puts a release live, which ends the rollout and drops most assignments.
func (l log) randomLive(r *rand.Rand) *fleet.Change {
	c := released(l.next(), pick(r, "one", "two"))
	c.Releases = l.supersede(c)
	state := l.state()
	if state.Rollout != nil {
		c.Rollout = &fleet.RolloutChange{Ended: true}
	}
	c.Candidate = &fleet.ReleaseRef{}
	for name, a := range state.Assignments {
		if a.Reason != fleet.ReasonPinned {
			c.Assignments = append(c.Assignments, fleet.AssignmentChange{Cluster: name, Before: a})
		}
	}
	return c
}

// randomRollout makes a change about a release that does not go live.
func (l log) randomRollout(r *rand.Rand) *fleet.Change {
	next, snapshot, state := l.next(), pick(r, "three", "four"), l.state()
	switch r.IntN(6) {
	case 0:
		c := about(fleet.ReleaseHeld, next, snapshot, "", fleet.Held)
		c.Candidate, c.Releases = &c.Release.Ref, []*fleet.Release{release(c)}
		return c
	case 1:
		c := about(fleet.ReleaseFailed, next, snapshot, "", fleet.Failed)
		c.Release.Ref.Snapshot = ""
		c.Candidate, c.Releases = &c.Release.Ref, []*fleet.Release{release(c)}
		return c
	case 2:
		c := about(fleet.ReleaseRolledOut, next, snapshot, "", fleet.RollingOut)
		c.Release.Wave, c.Clusters = strange, []string{"eu-01"}
		c.Rollout = &fleet.RolloutChange{Started: rollout(c, snapshot)}
		c.Releases = []*fleet.Release{release(c)}
		return c
	}
	if state.Rollout == nil {
		c := about(fleet.ReleaseDecided, next, snapshot, fleet.Held, fleet.Rejected)
		c.Release.Decision = &fleet.Decision{Verdict: fleet.Reject, Actor: strange, Reason: strange, At: c.At, Generation: next, Impact: digest("impact")}
		return c
	}
	c := about(fleet.ReleaseRolledOut, next, strings.TrimPrefix(state.Rollout.Release.Revision, revisionPrefix), fleet.RollingOut, fleet.RollingOut)
	progress := state.Rollout.RolloutProgress
	switch r.IntN(3) {
	case 0:
		c.Release.To = fleet.Rejected
		c.Rollout = &fleet.RolloutChange{Ended: true}
	case 1:
		pause := &fleet.RolloutPause{Reason: fleet.PauseGuard, Detail: strange, Impact: digest("impact")}
		c.Release.Pause, progress.Paused = pause, pause
		progress.Reverted, progress.Approved, progress.Confirmed, progress.Passed = true, digest("a"), digest("b"), true
		c.Rollout = &fleet.RolloutChange{Progress: &progress}
	case 2:
		progress.Part = min(1, len(state.Rollout.Waves[1].Clusters))
		progress.Since, progress.Generation, progress.Paused = c.At, next, nil
		c.Rollout = &fleet.RolloutChange{Progress: &progress}
	}
	return c
}

// randomWrite changes what people write: deltas, records, pins and tokens.
func (l log) randomWrite(r *rand.Rand) *fleet.Change {
	c := written(l.next())
	for c.Deltas == nil && c.Records == nil && c.Tokens == nil && c.Pins == nil {
		if r.IntN(3) > 0 {
			c.Deltas = l.randomDeltas(r)
		}
		if r.IntN(4) == 0 {
			c.Records = l.randomRecords(r)
		}
		if r.IntN(4) == 0 {
			c.Tokens = l.randomTokens(r)
		}
		if r.IntN(4) == 0 {
			c.Pins = l.randomPins(r)
		}
	}
	c.Kind = pick(r, fleet.Written, fleet.RolledBack, fleet.Withdrawn)
	c.Actor, c.Reason = pick(r, "ada", "grace", "O'Hara"), pick(r, "", "because", "$1")
	for _, name := range clusters {
		if r.IntN(2) == 0 {
			c.Clusters = append(c.Clusters, name)
		}
	}
	c.At = c.At.Add(time.Duration(r.IntN(5)-2) * 1500 * time.Millisecond) // clocks differ
	return c
}

// randomDeltas changes up to three deltas.
func (l log) randomDeltas(r *rand.Rand) []fleet.DeltaChange {
	names := []string{"a", "B", "b", "ä", "z"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	state := l.state()
	var changed []fleet.DeltaChange
	for _, name := range names[:1+r.IntN(3)] {
		c := set(name, fmt.Sprint(len(l)))
		for _, d := range state.Deltas.List() {
			if d.ID() == c.Delta {
				c.Before = d
			}
		}
		if c.Before != nil && r.IntN(2) == 0 {
			c.After = nil
		}
		changed = append(changed, c)
	}
	return changed
}

// randomRecords declares, decommissions and purges up to three clusters.
func (l log) randomRecords(r *rand.Rand) []fleet.RecordChange {
	state := l.state()
	var changed []fleet.RecordChange
	for _, name := range clusters[r.IntN(3):] {
		c := fleet.RecordChange{Cluster: name, Before: state.Records[name], After: record(name, fmt.Sprint(len(l)))}
		switch {
		case c.Before != nil && r.IntN(2) == 0:
			c.After = nil
		case r.IntN(2) == 0:
			c.After = decommissioned(name, l.randomAssignment(r, name))
		}
		changed = append(changed, c)
	}
	return changed
}

// randomTokens creates or revokes one.
func (l log) randomTokens(r *rand.Rand) []fleet.TokenChange {
	id := pick(r, "a", "b", "c", "d")
	c := fleet.TokenChange{Token: id, After: token(id)}
	c.After.Name = fmt.Sprint(len(l))
	for _, t := range l.tokens() {
		if t.ID == id {
			c.Before = t
			at := noon.Add(time.Duration(len(l)) * time.Second)
			c.After.RevokedAt = &at
		}
	}
	return []fleet.TokenChange{c}
}

// randomPins sets or removes one.
func (l log) randomPins(r *rand.Rand) []fleet.PinChange {
	name := pick(r, "canary", "eu", "us")
	c := fleet.PinChange{Pin: name, Before: l.state().Pins.Get(name), After: pin(name, pick(r, "one", "two"))}
	if c.Before != nil && r.IntN(2) == 0 {
		c.After = nil
	}
	return []fleet.PinChange{c}
}

// randomAssignments sets or drops the assignments of up to three clusters.
func (l log) randomAssignments(r *rand.Rand, generation int64) []fleet.AssignmentChange {
	state := l.state()
	var changed []fleet.AssignmentChange
	for _, name := range clusters[r.IntN(3):] {
		c := fleet.AssignmentChange{Cluster: name, Before: state.Assignments[name], After: l.randomAssignment(r, name)}
		if c.After != nil {
			c.After.Since = generation
		}
		if c.Before == nil && c.After == nil {
			continue
		}
		changed = append(changed, c)
	}
	return changed
}

// randomAssignment returns one of any shape, or nil.
func (l log) randomAssignment(r *rand.Rand, cluster string) *fleet.Assignment {
	a := assigned(cluster, pick(r, "one", "two", "three"), fleet.ReasonPinned, int64(len(l)))
	switch r.IntN(5) {
	case 0:
		return nil
	case 1:
		a.Release, a.Reason, a.Detail = fleet.ReleaseRef{}, fleet.ReasonFailing, strange
	case 2:
		a.Reason, a.Spec = fleet.ReasonOrphaned, spec(cluster)
	case 3:
		a.Detail, a.Previous = "eu", assigned(cluster, pick(r, "two", "three"), fleet.ReasonSuperseded, 1)
		a.Previous.Spec = spec(cluster)
	}
	return a
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// seeded returns a generator that is the same for each run of a test, and another for each test.
func seeded(t testing.TB) *rand.Rand {
	return rand.New(rand.NewChaCha8(sha256.Sum256([]byte(t.Name()))))
}
