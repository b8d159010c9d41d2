package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// about makes a change one about a release of a snapshot.
func about(kind fleet.ChangeKind, generation int64, snapshot string) *fleet.Change {
	c := written(generation)
	c.Kind, c.Actor = kind, "tributary"
	c.Release = &fleet.LiveRelease{Revision: "main@sha1:" + snapshot, Snapshot: digest(snapshot), Clusters: 12}
	return c
}

// release is the one that a change is about, with an impact by which to tell it from
// what it was earlier.
func release(c *fleet.Change, state fleet.State) *fleet.Release {
	return &fleet.Release{
		ID: c.Release.ID(), Revision: c.Release.Revision, Digest: c.Release.Snapshot, State: state,
		At: c.At, Generation: c.Generation, Clusters: c.Release.Clusters, Impact: impact(fmt.Sprint(c.Generation)),
	}
}

func impact(text string) *fleet.Impact {
	return &fleet.Impact{Digest: digest("impact " + text), Clusters: 1, Removed: 1, Groups: []fleet.ImpactGroup{
		{Clusters: []string{"eu-01"}, Changes: []fleet.InputEffect{{Set: "apps", ID: text, Effect: fleet.Removed}}},
	}}
}

// withoutGroups is a release as it is where groups are not told.
func withoutGroups(r *fleet.Release) *fleet.Release {
	short := *r
	if r.Impact != nil {
		impact := *r.Impact
		short.Impact, impact.Groups = &impact, nil
	}
	return &short
}

// goesOn is what becomes of releases when a change puts one live: that one is, and
// the one before it is superseded.
func (l log) goesOn(c *fleet.Change) []*fleet.Release {
	changed := []*fleet.Release{release(c, fleet.Live)}
	if live := l.live(); live != nil && live.Release.ID() != c.Release.ID() {
		old := release(live, fleet.Superseded)
		old.At, old.Generation = c.At, c.Generation
		changed = append(changed, old)
	}
	return changed
}

// steered is a change about a release that none goes live by.
func (l log) steered(r *rand.Rand) *fleet.Change {
	kind := pick(r, fleet.ReleaseHeld, fleet.ReleaseFailed, fleet.ReleaseRolledOut, fleet.ReleaseDecided)
	c := about(kind, int64(len(l)+1), pick(r, "three", "four"))
	switch kind {
	case fleet.ReleaseHeld:
		c.Lineup = &fleet.Lineup{Candidate: c.Release.ID(), Snapshot: c.Release.Snapshot}
		c.Releases = []*fleet.Release{release(c, fleet.Held)}
	case fleet.ReleaseFailed:
		c.Release.Snapshot = ""
		c.Lineup = &fleet.Lineup{Candidate: c.Release.ID()}
		c.Releases = []*fleet.Release{release(c, fleet.Failed)}
	case fleet.ReleaseRolledOut:
		c.Clusters = []string{"eu-01"}
		c.Lineup = &fleet.Lineup{Rollout: rollout(c)}
		c.Releases = []*fleet.Release{release(c, fleet.Live)}
	}
	return c
}

// rollout is that of the release of a change, which has reached one wave of two.
func rollout(c *fleet.Change) *fleet.Rollout {
	return &fleet.Rollout{
		Release: *c.Release, Reached: 1, Since: c.At, Generation: c.Generation,
		Waves: []fleet.Wave{{Name: "canary", Clusters: []string{"eu-01"}, Soak: time.Minute, Polled: 90}, {Name: "rest"}},
	}
}

// pin is one to a snapshot's release.
func pin(name, snapshot string) *fleet.Pin {
	revision := "main@sha1:" + snapshot
	return &fleet.Pin{
		Name: name, Selector: &fleet.Selector{MatchLabels: map[string]string{"ring": name}}, Reason: strange,
		Release: fleet.LiveRelease{Revision: revision}.ID(), Revision: revision, Snapshot: digest(snapshot),
	}
}

// somePins changes one pin of what the log adds up to.
func (l log) somePins(r *rand.Rand) []fleet.PinChange {
	c := fleet.PinChange{Pin: pick(r, "canary", "eu", "us")}
	c.After = pin(c.Pin, pick(r, "one", "two"))
	pins := l.pins()
	if i := slices.IndexFunc(pins, func(p *fleet.Pin) bool { return p.Name == c.Pin }); i >= 0 {
		c.Before = pins[i]
		if r.IntN(2) == 0 {
			c.After = nil
		}
	}
	return []fleet.PinChange{c}
}

// pins are those in force in the end.
func (l log) pins() []*fleet.Pin {
	all := map[string]*fleet.Pin{}
	for _, c := range l {
		for _, x := range c.Pins {
			all[x.Pin] = x.After
		}
	}
	return inOrder(all)
}

// lineup is where the fleet is going in the end.
func (l log) lineup() *fleet.Lineup {
	for _, c := range slices.Backward(l) {
		if c.Lineup != nil {
			return c.Lineup
		}
	}
	return &fleet.Lineup{}
}

// releases are all as they are in the end, by ID.
func (l log) releases() map[string]*fleet.Release {
	all := map[string]*fleet.Release{}
	for _, c := range l {
		for _, r := range c.Releases {
			all[r.ID] = r
		}
	}
	return all
}

// present are those that the fleet is on or may go to, without groups.
func (l log) present() []*fleet.Release {
	var ids []string
	if live := l.live(); live != nil {
		ids = append(ids, live.Release.ID())
	}
	lineup := l.lineup()
	if lineup.Rollout != nil {
		ids = append(ids, lineup.Rollout.Release.ID())
	}
	ids = append(ids, lineup.Candidate)
	var present []*fleet.Release
	for i, id := range ids {
		if r := l.releases()[id]; r != nil && !slices.Contains(ids[:i], id) {
			present = append(present, withoutGroups(r))
		}
	}
	return present
}
