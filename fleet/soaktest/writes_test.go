package soaktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
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

// written says what is to come of a write that makes one state of another: it must not
// leave a cluster with nothing, nor a part of a delta without effect, be it of the
// delta that is written, whose ID that is, or of another. Of pins the guard asks.
func (s state) written(next state, delta string) outcome {
	before, after := s.clusters(), next.clusters()
	for name, now := range after {
		was := before[name]
		if now.state == fleet.DecommissionedState || was != nil && !was.served() {
			continue
		}
		if !now.served() {
			return invalid
		}
		for _, part := range now.orphans {
			if delta == pins {
				break
			}
			ofThis := delta != "" && strings.HasPrefix(part, delta+":")
			if ofThis || was != nil && !slices.Contains(was.orphans, part) {
				return invalid
			}
		}
	}
	for _, revision := range s.guards(before, after) {
		if len(weigh(s.history.commits[revision].guard, before, after).violations) > 0 {
			return guarded
		}
	}
	return isKept
}

// pins stands for the ID of a delta where there is none, but pins are written.
const pins = "pins"

// guards are the releases whose guards hold for a write: the live one, and those that
// clusters are on that it changes something for.
func (s state) guards(before, after map[string]*cluster) []string {
	guards := []string{s.live}
	for name, was := range before {
		now := after[name]
		if was.served() && was.revision != s.live && (now == nil || now.revision != was.revision || !reflect.DeepEqual(now.sets, was.sets) || !reflect.DeepEqual(now.labels, was.labels)) {
			guards = append(guards, was.revision)
		}
	}
	return guards
}

// hold has something written, and holds what comes of it. Half of what the guard
// refuses is confirmed.
func (s *soak) hold(want outcome, what string, do func(w fleet.Write) error) {
	s.t.Helper()
	w := s.write()
	err := do(w)
	s.did("%s: %s", what, want)
	s.tally[string(want)]++
	if got := outcomeOf(err); got != want {
		s.fail("%s is %s: %v, want %s", what, got, err, want)
	}
	var refused *fleet.GuardError
	if !errors.As(err, &refused) {
		return
	}
	w.Confirm = "sha256:stale"
	if err := do(w); outcomeOf(err) != guarded {
		s.fail("%s with another digest = %v, want %v", what, err, fleet.ErrGuarded)
	}
	if s.IntN(2) == 0 {
		w.Confirm = refused.Impact.Digest
		s.did("confirm")
		if err := do(w); err != nil {
			s.fail("%s as confirmed = %v", what, err)
		}
	}
}

// planned is the state with other deltas, that are not in the log yet.
func (s state) planned(id string, d *fleet.Delta) state {
	s.deltas = maps.Clone(s.deltas)
	if delete(s.deltas, id); d != nil {
		s.deltas[id] = inForce{d, 0}
	}
	return s
}

// putDelta writes one that is for a group, or for some clusters.
func (s *soak) putDelta() {
	d := &fleet.Delta{Name: fmt.Sprintf("delta%d", s.IntN(6)), Priority: s.IntN(3)}
	if s.IntN(2) == 0 {
		d.Selector = &fleet.Selector{MatchLabels: map[string]string{"environment": environments[s.IntN(3)]}}
		if s.IntN(3) == 0 {
			d.Selector.MatchLabels["tier"] = "gold"
		}
	} else {
		for range 1 + s.IntN(3) {
			d.Clusters = append(d.Clusters, pick(s.Rand, s.state.clusters()))
		}
	}
	for range 1 + s.IntN(2) {
		e := s.edit()
		same := func(other fleet.Edit) bool { return other.Kind == e.Kind && other.Name == e.Name }
		if !slices.ContainsFunc(d.Edits, same) { // Two of one object are one, which this model does not know.
			d.Edits = append(d.Edits, e)
		}
	}
	if s.IntN(3) == 0 {
		d.Resources = []json.RawMessage{json.RawMessage(objectDocument("App/"+s.fresh("more"), spec{"tag": "v1"}))}
	}
	want := s.state.written(s.state.planned(d.ID(), d), d.ID())
	s.hold(want, "put "+encode(d), func(w fleet.Write) error {
		_, err := s.server.PutDelta(s.t.Context(), w, d)
		return err
	})
}

// edit changes an object that most clusters have, or takes it away. Every other time it
// is the same one, so that edits meet.
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

func (s *soak) deleteDelta() {
	named := maps.Clone(s.state.deltas)
	maps.DeleteFunc(named, func(_ string, d inForce) bool { return d.Cluster != "" })
	s.drop(pick(s.Rand, named))
}

// dropOwn lets go of all that was changed of a cluster by name.
func (s *soak) dropOwn() {
	own := maps.Clone(s.state.deltas)
	maps.DeleteFunc(own, func(_ string, d inForce) bool { return d.Cluster == "" })
	s.drop(pick(s.Rand, own))
}

func (s *soak) drop(id string) {
	if id == "" {
		s.did("no delta to drop")
		return
	}
	s.hold(s.state.written(s.state.planned(id, nil), id), "drop "+id, func(w fleet.Write) error {
		_, err := s.server.DeleteDelta(s.t.Context(), w, id)
		return err
	})
}

// patchObject changes one object of one cluster. What the cluster gets then is what it
// was served with the patch on top, whatever the delta is that says so.
func (s *soak) patchObject() {
	clusters := s.state.clusters()
	maps.DeleteFunc(clusters, func(_ string, c *cluster) bool { return !c.served() || c.state == fleet.DecommissionedState })
	c := clusters[pick(s.Rand, clusters)]
	e := s.edit()
	own := fleet.Delta{Cluster: c.name}
	if was, there := s.state.deltas[fleet.OwnID(c.name)]; there {
		own = *was.Delta
	}
	object := fleet.ObjectName{Kind: e.Kind, Name: e.Name}
	if !s.has(c, e) {
		s.did("no %s/%s to patch on %s", e.Kind, e.Name, c.name)
		return
	}
	own.Edits = append(slices.Clone(own.Edits), e)
	want := s.state.written(s.state.planned(own.ID(), &own), "")
	s.hold(want, fmt.Sprintf("patch %s/%s of %s with %s", e.Kind, e.Name, c.name, e.Patch), func(w fleet.Write) (err error) {
		if string(e.Patch) == "null" {
			_, err = s.server.DeleteObject(s.t.Context(), w, c.name, object)
		} else {
			_, err = s.server.PatchObject(s.t.Context(), w, c.name, object, fleet.ObjectPatch{Type: fleet.MergePatch, Body: e.Patch})
		}
		return err
	})
}

// has tells whether a cluster has the object of an edit, in a set.
func (s *soak) has(c *cluster, e fleet.Edit) bool {
	_, there := c.sets[s.state.history.commits[c.revision].sets[e.Kind]][e.Name]
	return there
}

// declare has the API declare a cluster.
func (s *soak) declare() {
	name := s.fresh("a")
	labels := s.labels(name)
	next := s.state
	next.records = maps.Clone(s.state.records)
	next.records[name] = &fleet.ClusterRecord{Cluster: name, Declared: &fleet.Declaration{Labels: labels, DNS: dnsOf(name)}}
	document := encode(map[string]any{"name": name, "dns": dnsOf(name), "labels": labels})
	s.hold(s.state.written(next, ""), "declare "+document, func(w fleet.Write) error {
		_, _, err := s.server.Declare(s.t.Context(), w, []byte(document))
		return err
	})
}

// redeclare has it move a cluster to another environment.
func (s *soak) redeclare() {
	declared := s.state.clusters()
	maps.DeleteFunc(declared, func(_ string, c *cluster) bool { return c.state != fleet.Active || c.inGit })
	c := declared[pick(s.Rand, declared)]
	if c == nil || s.state.records[c.name] == nil || s.state.records[c.name].Declared == nil {
		s.did("nothing to redeclare")
		return
	}
	labels := maps.Clone(c.labels)
	labels["environment"] = environments[s.IntN(3)]
	next := s.state
	next.records = maps.Clone(s.state.records)
	record := *s.state.records[c.name]
	record.Declared = &fleet.Declaration{Labels: labels, DNS: dnsOf(c.name)}
	next.records[c.name] = &record
	s.hold(s.state.written(next, ""), fmt.Sprintf("redeclare %s as %s", c.name, labels), func(w fleet.Write) error {
		_, err := s.server.Redeclare(s.t.Context(), w, c.name, []byte(encode(map[string]any{"labels": labels})))
		return err
	})
}

// decommission is its own confirmation.
func (s *soak) decommission() {
	all := s.state.clusters()
	orphaned := maps.Clone(all)
	maps.DeleteFunc(orphaned, func(_ string, c *cluster) bool { return c.state != fleet.OrphanedState })
	name := pick(s.Rand, orphaned)
	if name == "" || s.IntN(3) == 0 {
		name = pick(s.Rand, all)
	}
	s.hold(isKept, "decommission "+name, func(w fleet.Write) error {
		_, err := s.server.Decommission(s.t.Context(), w, name)
		return err
	})
}

// purge forgets a cluster, unless a file would bring it back.
func (s *soak) purge() {
	gone := s.state.clusters()
	maps.DeleteFunc(gone, func(_ string, c *cluster) bool { return c.state != fleet.DecommissionedState })
	name := pick(s.Rand, gone)
	if name == "" {
		s.did("nothing to purge")
		return
	}
	want := isKept
	for _, revision := range []string{s.state.live, s.state.rolling()} {
		if c := s.state.history.commits[revision]; c != nil && !c.unreadable {
			if _, there := c.clusters[name]; there { // also with a fault: it would come back when that is mended
				want = conflict
			}
		}
	}
	s.hold(want, "purge "+name, func(w fleet.Write) error {
		_, err := s.server.Purge(s.t.Context(), w, name)
		return err
	})
}

// pin keeps some clusters, or a group, or all, on a release that was live or may be.
func (s *soak) pin() {
	p := fleet.Pin{Name: fmt.Sprintf("pin%d", s.IntN(3)), Release: s.made[len(s.made)-1-s.IntN(min(8, len(s.made)))].revision}
	switch s.IntN(4) {
	case 0:
		p.Selector = &fleet.Selector{}
	case 1:
		p.Selector = &fleet.Selector{MatchLabels: map[string]string{"environment": environments[s.IntN(3)]}}
	default:
		for range 1 + s.IntN(4) {
			p.Clusters = append(p.Clusters, pick(s.Rand, s.state.clusters()))
		}
	}
	if r, err := s.server.Release(s.t.Context(), p.Release); err != nil || r.Digest == "" {
		s.did("nothing to pin: %v", err)
		return
	}
	pinned := p
	pinned.Revision = p.Release
	next := s.state
	next.pins = maps.Clone(s.state.pins)
	next.pins[p.Name] = &pinned
	s.hold(s.state.repinned(next), "pin "+encode(p), func(w fleet.Write) error {
		_, err := s.server.Pin(s.t.Context(), w, p)
		return err
	})
}

func (s *soak) unpin() {
	name := pick(s.Rand, s.state.pins)
	if name == "" {
		s.did("nothing to unpin")
		return
	}
	next := s.state
	next.pins = maps.Clone(s.state.pins)
	delete(next.pins, name)
	s.hold(s.state.repinned(next), "unpin "+name, func(w fleet.Write) error {
		_, err := s.server.Unpin(s.t.Context(), w, name)
		return err
	})
}

// repinned says what is to come of other pins. Whom the release that he goes to without
// one is not good for stays where he is.
func (s state) repinned(next state) outcome {
	before := s.clusters()
	next.records = maps.Clone(next.records)
	for name, now := range next.clusters() {
		if was := before[name]; now.served() || !was.served() || next.pinOf(&now.subject) != nil {
			continue
		}
		r := fleet.ClusterRecord{Cluster: name}
		if had := s.records[name]; had != nil {
			r = *had
		}
		r.Stays = &fleet.Stay{Release: before[name].release()}
		next.records[name] = &r
	}
	next.welcome(s)
	return s.written(next, pins)
}
