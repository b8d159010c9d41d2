// Package position is where a server is: how far it knows the change log, and what it serves.
//
//	at := current.Load()                 // immutable; take it once
//	change.Releases = append(change.Releases, at.Entered(doc, fleet.Held, change))
//	next := at.After(at.State.Apply(change), change.Releases)
//
// A change is worked out at one position, and counts only for that one. The package decides nothing.
package position

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// Position is where the change log is, as far as it is known here, and what is served. It is immutable.
type Position struct {
	State *fleet.State
	// Releases are the live one, that of the rollout and the candidate, by ID.
	Releases map[string]*fleet.Release
	// View is what is served; nil until something is. It is of the state, unless that cannot be
	// served here: then it stays as it was.
	View *view.View
	// Loaded is true once the log has been read.
	Loaded bool
}

// IsServed reports whether the view is of the state.
func (p *Position) IsServed() bool {
	return p.View != nil && p.View.Generation() == p.State.Generation
}

// Candidate returns the newest release that the fleet is not going to, or nil.
func (p *Position) Candidate() *fleet.Release { return p.Releases[p.State.Candidate.ID()] }

// WhyNotServed returns why the candidate is not served, for a server that serves nothing yet; empty where
// there is no candidate. It is for every caller: it quotes neither the source nor a fault.
func (p *Position) WhyNotServed() string {
	switch c := p.Candidate(); {
	case c == nil:
		return ""
	case c.State == fleet.Failed:
		return fmt.Sprintf("the source's newest revision has faults, and nothing is served until they are fixed (release %s)", c.ID)
	case fleet.NeedFix(c.Violations):
		return fmt.Sprintf("release %s is not valid for too many clusters, and nothing is served until its commit is fixed", c.ID)
	default:
		return fmt.Sprintf("release %s is %s, and nothing is served until it is approved, or a newer one replaces it", c.ID, c.State)
	}
}

// Revision returns the revision that is live; empty for none.
func (p *Position) Revision() string {
	if p.View == nil {
		return ""
	}
	return p.View.Live().Ref.Revision
}

// After returns the position after changes, with those releases of a list that the state names, the
// last one of each ID. The view stays.
func (p *Position) After(state *fleet.State, releases []*fleet.Release) *Position {
	next := *p
	next.State = state
	if len(releases) == 0 && state.Candidate == p.State.Candidate && state.LiveRef() == p.State.LiveRef() && RolloutRef(state) == RolloutRef(p.State) {
		return &next
	}
	next.Releases = map[string]*fleet.Release{}
	for _, r := range slices.Concat(slices.Collect(maps.Values(p.Releases)), releases) {
		if r.ID == state.Candidate.ID() || r.ID == state.LiveRef().ID() || r.ID == RolloutRef(state).ID() {
			next.Releases[r.ID] = r
		}
	}
	return &next
}

// RolloutRef returns the release that is rolling out; zero for none.
func RolloutRef(s *fleet.State) (ref fleet.ReleaseRef) {
	if s.Rollout != nil {
		ref = s.Rollout.Release
	}
	return ref
}

// RollingOut returns what is served while a release is rolling out, and that release. It is an error
// where this server serves an older state, whose live release may be another one, or lacks the release.
func (p *Position) RollingOut() (*view.View, *fleet.Compiled, error) {
	if !p.IsServed() {
		return nil, nil, fmt.Errorf("rollout: %w: this server cannot serve what the change log says", fleet.ErrNotReady)
	}
	compiled := p.View.Compiled(p.State.Rollout.Release)
	if compiled == nil {
		return nil, nil, fmt.Errorf("rollout: release of %s: %w", p.State.Rollout.Release.Revision, fleet.ErrUnavailable)
	}
	return p.View, compiled, nil
}

// LastSeen returns the newest revision that the log has a result of; empty for none, and where
// it failed, since it may be valid by now.
func (p *Position) LastSeen() string {
	if c := p.Candidate(); c != nil {
		if c.State == fleet.Failed {
			return ""
		}
		return c.Revision
	}
	return cmp.Or(RolloutRef(p.State).Revision, p.Revision())
}

// Knows reports whether a revision is live, rolling out, or was decided on.
func (p *Position) Knows(revision string) bool {
	if c := p.Candidate(); c != nil && c.Revision == revision && c.State != fleet.Failed {
		return true
	}
	return p.Revision() == revision || RolloutRef(p.State).Revision == revision
}

// Propose makes a release the candidate.
func (p *Position) Propose(c *fleet.Change, doc *fleet.Release) {
	c.Releases = append(c.Releases, doc)
	if old := p.State.Candidate; old.ID() != doc.ID {
		p.Supersede(c, old)
	}
	ref := doc.Ref()
	c.Candidate = &ref
}

// Supersede records that a newer release replaced one that is live, rolling out or held.
func (p *Position) Supersede(c *fleet.Change, ref fleet.ReleaseRef) {
	if old := p.Releases[ref.ID()]; old != nil && (old.State == fleet.Live || old.State == fleet.RollingOut || old.State == fleet.Held) {
		c.Releases = append(c.Releases, p.Entered(old, fleet.Superseded, c))
	}
}

// Entered returns the document of a release that enters a state by a change. A superseded one keeps the
// time and the place in the list that it had.
func (p *Position) Entered(old *fleet.Release, s fleet.ReleaseState, c *fleet.Change) *fleet.Release {
	after := *old
	if after.State = s; s == fleet.Superseded {
		after.SupersededAt = c.At
	} else {
		after.At, after.Generation = c.At, p.State.Generation+1
	}
	return &after
}
