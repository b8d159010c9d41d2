package soaktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/credential"
)

// outcome is what comes of a write.
type outcome string

const (
	isKept   outcome = "kept"
	invalid  outcome = "invalid"
	guarded  outcome = "guarded"
	conflict outcome = "conflict"
)

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return isKept
	case errors.Is(err, fleet.ErrGuarded):
		return guarded
	case errors.Is(err, fleet.ErrInvalid):
		return invalid
	case errors.Is(err, fleet.ErrConflict):
		return conflict
	}
	return outcome(err.Error())
}

// try makes a write, and checks what comes of it: what is kept is in the log, what is refused has
// changed nothing, and only what exceeds a guard has to be confirmed, which is done half of the time.
// Want is the outcome, or empty where each is possible.
func (s *soak) try(want outcome, what string, do func(o controller.WriteOptions) (*fleet.Result, error)) outcome {
	s.t.Helper()
	before, was := s.model, s.past[s.model.generation]
	o := options()
	var foreseen *fleet.Result
	if s.IntN(2) == 0 {
		dry := o
		dry.DryRun = true
		foreseen, _ = do(dry)
	}
	result, err := do(o)
	got := outcomeOf(err)
	s.did("%s: %s", what, got)
	s.tally[string(got)]++
	s.followLog()
	if !slices.Contains([]outcome{isKept, invalid, guarded, conflict}, got) || want != "" && want != got {
		s.fail("%s is %s: %v, want %s", what, got, err, want)
	}
	if got != isKept && s.model.generation != before.generation {
		s.fail("%s is %s, and changed something", what, got)
	}
	now := s.past[s.model.generation]
	lost := before.removals(was, now)
	if got == isKept {
		exceeds := before.exceeded(before.live, was, now, s.clock.Now())
		if deliberate := strings.HasPrefix(what, "decommission"); !deliberate && len(exceeds) > 0 {
			s.fail("%s exceeds %s, and was not confirmed", what, exceeds)
		}
		s.wantSeen(what, lost, was, result)
		if foreseen != nil {
			s.wantSeen("a dry run of "+what, lost, was, foreseen)
		}
	}
	if s.model.generation > before.generation {
		want := before.toRecord(lost)
		if s.last.Kind == fleet.Decommissioned {
			want = nil
		}
		if got := recorded(s.last.Losses); !slices.Equal(got, want) {
			s.fail("%s: the log says that clusters lost\n%v\nwant\n%v", what, got, want)
		}
	}
	var refused *fleet.GuardError
	if !errors.As(err, &refused) {
		return got
	}
	o.Confirm = "sha256:stale"
	if _, err := do(o); outcomeOf(err) != guarded {
		s.fail("%s with another digest = %v, want %v", what, err, fleet.ErrGuarded)
	}
	if s.IntN(2) > 0 {
		return got
	}
	o.Confirm = refused.Impact.Digest
	s.did("confirm")
	if _, err := do(o); err != nil {
		s.fail("%s as confirmed = %v", what, err)
	}
	s.followLog()
	if s.last.Losses != nil {
		s.fail("%s as confirmed counts again: %+v", what, s.last.Losses)
	}
	now = s.past[s.model.generation]
	if unseen := unseen(before.removals(was, now), removedBy(refused.Impact)); len(unseen) > 0 {
		s.fail("%s as confirmed removes what was not shown: %+v", what, unseen)
	}
	exceeded := false
	for _, c := range was {
		exceeded = exceeded || !c.release.IsZero() && len(before.exceeded(c.release, was, now, s.clock.Now())) > 0
	}
	if !exceeded && len(before.exceeded(before.live, was, now, s.clock.Now())) == 0 {
		s.fail("%s exceeds no guard, and had to be confirmed: %v", what, refused.Violations)
	}
	return isKept
}

// wantDelta returns the outcome of a write that replaces a delta, or deletes it: it is refused where
// a cluster could not be served then, or would go without a part of a delta.
func (s *soak) wantDelta(id string, d *fleet.Delta) outcome {
	next := s.model
	next.deltas = maps.Clone(s.model.deltas)
	if delete(next.deltas, id); d != nil {
		next.deltas[id] = d
	}
	was, now := s.past[s.model.generation], next.clusters()
	guards := map[fleet.ReleaseRef]bool{s.model.live: true}
	for name, is := range now {
		old := was[name]
		if old.sets == nil || old.state == fleet.ClusterDecommissioned {
			continue
		}
		if part := newlyStale(old, is); is.sets == nil || part != "" {
			return invalid
		}
		if d != nil && slices.ContainsFunc(is.stale, func(p fleet.Part) bool { return p.Delta == id }) {
			return invalid
		}
		if !reflect.DeepEqual(old.sets, is.sets) {
			guards[old.release] = true
		}
	}
	for guard := range guards {
		if len(s.model.exceeded(guard, was, now, s.clock.Now())) > 0 {
			return guarded
		}
	}
	return isKept
}

// putDelta writes a delta for a group, or for some clusters.
func (s *soak) putDelta() {
	d := &fleet.Delta{Name: fmt.Sprintf("delta%d", s.IntN(6)), Priority: s.IntN(3)}
	if s.IntN(2) == 0 {
		d.Selector = &fleet.Selector{MatchLabels: map[string]string{"environment": environments[s.IntN(3)]}}
		if s.IntN(3) == 0 {
			d.Selector.MatchLabels["tier"] = "gold"
		}
	} else {
		d.Clusters = s.some(3)
	}
	for range 1 + s.IntN(2) {
		d.Edits = append(d.Edits, s.edit())
	}
	if s.IntN(3) == 0 {
		d.Resources = []json.RawMessage{json.RawMessage(objectDocument("App/"+s.fresh("more"), spec{"tag": "v1"}))}
	}
	s.try(s.wantDelta(d.ID(), d), "put "+encode(d), func(o controller.WriteOptions) (*fleet.Result, error) {
		return s.server.PutDelta(s.t.Context(), o, d)
	})
}

// some returns the names of a few clusters.
func (s *soak) some(most int) (names []string) {
	for range 1 + s.IntN(most) {
		names = append(names, pick(s.Rand, s.past[s.model.generation]))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// edit changes an object that most clusters have, or removes it. Half of the time it is the same
// object, so that edits meet.
func (s *soak) edit() fleet.Edit {
	object := slices.Sorted(maps.Keys(s.at.base))[0]
	if s.IntN(2) == 0 {
		object = pick(s.Rand, s.at.base)
	}
	kind, name, _ := strings.Cut(object, "/")
	patch := patchOf(spec{"tag": s.fresh("v")})
	switch s.IntN(5) {
	case 0:
		patch = []byte("null")
	case 1:
		patch = patchOf(spec{"replicas": []int{3, 7, tooMany}[s.IntN(3)], "env": map[string]any{"a": nil, "d": s.fresh("x")}})
	}
	return fleet.Edit{Kind: kind, Name: name, Patch: patch}
}

func (s *soak) deleteDelta() { s.drop(func(d *fleet.Delta) bool { return d.Cluster == "" }) }

// deleteOwn drops everything that was changed of one cluster by name.
func (s *soak) deleteOwn() { s.drop(func(d *fleet.Delta) bool { return d.Cluster != "" }) }

func (s *soak) drop(which func(*fleet.Delta) bool) {
	deltas := maps.Clone(s.model.deltas)
	maps.DeleteFunc(deltas, func(_ string, d *fleet.Delta) bool { return !which(d) })
	id := pick(s.Rand, deltas)
	if id == "" {
		s.did("no delta to drop")
		return
	}
	s.try(s.wantDelta(id, nil), "drop "+id, func(o controller.WriteOptions) (*fleet.Result, error) {
		return s.server.DeleteDelta(s.t.Context(), o, id)
	})
}

// patchObject changes one object of one cluster.
func (s *soak) patchObject() {
	clusters := maps.Clone(s.past[s.model.generation])
	maps.DeleteFunc(clusters, func(_ string, c *cluster) bool { return c.sets == nil || c.state == fleet.ClusterDecommissioned })
	name, e := pick(s.Rand, clusters), s.edit()
	if !slices.Contains(clusters[name].sets[s.model.commits[clusters[name].release.Revision].sets[e.Kind]].ids, e.Name) {
		s.did("no %s/%s to patch on %s", e.Kind, e.Name, name)
		return
	}
	object := fleet.ObjectName{Kind: e.Kind, Name: e.Name}
	s.try("", fmt.Sprintf("patch %s/%s of %s with %s", e.Kind, e.Name, name, e.Patch), func(o controller.WriteOptions) (*fleet.Result, error) {
		if string(e.Patch) == "null" {
			return s.server.DeleteObject(s.t.Context(), o, name, object)
		}
		return s.server.PatchObject(s.t.Context(), o, name, object, fleet.ObjectPatch{Type: fleet.MergePatch, Body: e.Patch})
	})
}

// rollBack restores deltas and declarations of a few generations ago.
func (s *soak) rollBack() {
	generation := max(1, s.model.generation-int64(s.IntN(10)))
	s.try("", fmt.Sprintf("roll back to %d", generation), func(o controller.WriteOptions) (*fleet.Result, error) {
		return s.server.Rollback(s.t.Context(), o, controller.Rollback{Generation: generation})
	})
}

// expire lets a pin expire that was just set, and looks until it is withdrawn, or known to be overdue.
// One that is overdue is made to last.
func (s *soak) expire() {
	until := s.clock.Now().Add(time.Minute)
	p := fleet.Pin{Name: "short", Release: s.at.revision, Scope: fleet.Scope{Clusters: s.some(20)}, ExpiresAt: &until}
	if s.IntN(2) == 0 {
		p.Release = s.model.live.Revision
	}
	s.setPin(p)
	if pinned := s.model.pins["short"]; pinned == nil || pinned.ExpiresAt == nil {
		return
	}
	s.clock.forward(2 * time.Minute)
	s.createToken()
	overdue := func() bool { return s.server.Status().Overdue["pin/short"] != "" }
	s.await("withdrawal", func() bool {
		v, err := s.server.View()
		return overdue() || err == nil && v.State().Pins.Get("short") == nil
	})
	s.followLog()
	if late := s.model.pins["short"]; late != nil {
		p.Release, p.ExpiresAt = late.Revision, nil
		s.setPin(p)
	}
	s.did("expire: withdrawn %v", s.model.pins["short"] == nil)
}

// createToken makes a change that bears on no cluster.
func (s *soak) createToken() {
	if _, err := s.server.CreateToken(s.t.Context(), options(), credential.Request{Name: s.fresh("token"), Role: fleet.RoleViewer}); err != nil {
		s.fail("CreateToken() = %v", err)
	}
	s.followLog()
}

// declare declares a cluster through the API: a new one, or one whose file has vanished.
func (s *soak) declare() {
	name := s.fresh("a")
	if orphan := pick(s.Rand, s.inState(fleet.ClusterOrphaned)); orphan != "" && s.IntN(2) == 0 {
		name = orphan
	}
	labels, dns := s.labels(name), dnsOf(name)
	if other := pick(s.Rand, s.freed); other != "" && s.IntN(3) == 0 {
		dns = other
	}
	s.declared[name] = labels
	document := encode(map[string]any{"name": name, "dns": dns, "labels": labels})
	s.try("", "declare "+document, func(o controller.WriteOptions) (*fleet.Result, error) {
		_, result, err := s.server.Declare(s.t.Context(), o, []byte(document))
		return result, err
	})
}

// register lets a new cluster register itself.
func (s *soak) register() {
	name := s.fresh("r")
	r := credential.Registration{Name: name, DNS: dnsOf(name), Labels: s.labels(name)}
	s.declared[name] = r.Labels
	s.try("", "register "+encode(r), func(o controller.WriteOptions) (*fleet.Result, error) {
		_, err := s.server.Register(s.t.Context(), o, credential.RegistrationCredential{Role: fleet.RoleAdmin}, r)
		return nil, err
	})
}

func (s *soak) inState(state fleet.ClusterState) map[string]*cluster {
	some := maps.Clone(s.past[s.model.generation])
	maps.DeleteFunc(some, func(_ string, c *cluster) bool { return c.state != state })
	return some
}

// redeclare moves a cluster that the API declares to another environment or out of a site, or gives its
// dns up, or has it take another one.
func (s *soak) redeclare() {
	declared := s.inState(fleet.ClusterActive)
	maps.DeleteFunc(declared, func(name string, c *cluster) bool { return s.model.declaration(name) == nil || c.spec.File != "" })
	name := pick(s.Rand, declared)
	if name == "" {
		s.did("nothing to relabel")
		return
	}
	patch := map[string]any{}
	if s.IntN(3) > 0 {
		labels := s.labels(name)
		s.declared[name], patch["labels"] = labels, map[string]any{"site": nil, "tier": nil, "ring": nil}
		for key, value := range labels {
			patch["labels"].(map[string]any)[key] = value
		}
	} else {
		s.freed[declared[name].spec.DNS] = true
		delete(s.freed, "")
		patch["dns"] = []any{nil, pick(s.Rand, s.freed), dnsOf(name), dnsOf(pick(s.Rand, s.past[s.model.generation]))}[s.IntN(4)]
	}
	s.try("", fmt.Sprintf("redeclare %s as %s", name, encode(patch)), func(o controller.WriteOptions) (*fleet.Result, error) {
		return s.server.Redeclare(s.t.Context(), o, name, []byte(encode(patch)))
	})
}

// decommission needs no confirmation.
func (s *soak) decommission() {
	name := pick(s.Rand, s.inState(fleet.ClusterOrphaned))
	if name == "" || s.IntN(3) == 0 {
		name = pick(s.Rand, s.past[s.model.generation])
	}
	s.try(isKept, "decommission "+name, func(o controller.WriteOptions) (*fleet.Result, error) {
		return s.server.Decommission(s.t.Context(), o, name)
	})
}

// recommission brings a cluster back, half of the time one that is decommissioned just before: it is served
// then what it was.
func (s *soak) recommission() {
	name, back, failing := pick(s.Rand, s.inState(fleet.ClusterDecommissioned)), map[string]answer(nil), false
	if name == "" || s.IntN(2) == 0 {
		name = pick(s.Rand, s.past[s.model.generation])
		c := s.past[s.model.generation][name]
		if c.sets != nil && c.exists() {
			back = c.sets
		}
		row := s.model.rows[name]
		failing = row != nil && row.Reason == fleet.ReasonFailing // where it should be is not valid for it
		s.try(isKept, "decommission "+name, func(o controller.WriteOptions) (*fleet.Result, error) {
			return s.server.Decommission(s.t.Context(), o, name)
		})
	}
	want, now := outcome(""), s.past[s.model.generation]
	if dns := now[name].spec.DNS; dns != "" && owners(now)[dns] != name {
		want = conflict
	} else if back != nil && !failing {
		want = isKept
	}
	got := s.try(want, "recommission "+name, func(o controller.WriteOptions) (*fleet.Result, error) {
		return s.server.Recommission(s.t.Context(), o, name)
	})
	if is := s.past[s.model.generation][name].sets; got == isKept && back != nil && !reflect.DeepEqual(back, is) {
		s.fail("%s is back with\n%v\nand was served\n%v", name, is, back)
	}
}

// purge forgets a cluster, unless a file would bring it back.
func (s *soak) purge() {
	name := pick(s.Rand, s.inState(fleet.ClusterDecommissioned))
	if name == "" {
		s.did("nothing to purge")
		return
	}
	releases, want := []fleet.ReleaseRef{s.model.live}, isKept
	if s.model.rollout != nil {
		releases = append(releases, s.model.rollout.Release)
	}
	for _, r := range releases {
		if _, there := s.model.commits[r.Revision].clusters[name]; there { // also with a fault: it would come back once that is mended
			want = conflict
		}
	}
	s.try(want, "purge "+name, func(o controller.WriteOptions) (*fleet.Result, error) {
		return s.server.Purge(s.t.Context(), o, name)
	})
}

// pin keeps some clusters, or a group, or all, on one of the last releases.
func (s *soak) pin() {
	p := fleet.Pin{Name: fmt.Sprintf("pin%d", s.IntN(3)), Release: s.made[len(s.made)-1-s.IntN(min(8, len(s.made)))].revision}
	switch s.IntN(4) {
	case 0:
		p.Selector = &fleet.Selector{}
	case 1:
		p.Selector = &fleet.Selector{MatchLabels: map[string]string{"environment": environments[s.IntN(3)]}}
	default:
		p.Clusters = s.some(4)
	}
	s.setPin(p)
}

func (s *soak) setPin(p fleet.Pin) {
	if r, err := s.server.Release(s.t.Context(), p.Release); err != nil || r.Digest == "" {
		s.did("nothing to pin: %v", err)
		return
	}
	s.try("", "pin "+encode(p), func(o controller.WriteOptions) (*fleet.Result, error) {
		return s.server.Pin(s.t.Context(), o, p)
	})
}

func (s *soak) unpin() {
	name := pick(s.Rand, s.model.pins)
	if name == "" {
		s.did("nothing to unpin")
		return
	}
	s.try("", "unpin "+name, func(o controller.WriteOptions) (*fleet.Result, error) {
		return s.server.Unpin(s.t.Context(), o, name)
	})
}
