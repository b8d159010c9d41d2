package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// ReleaseQuery chooses releases. A zero field chooses all.
type ReleaseQuery struct {
	State State
	// Before bounds the generation, exclusively; the page after one ends before its last.
	Before int64
	// Limit is the most releases; 0 stands for 100. There may be a few more, because those
	// of one generation are never parted: one goes live, and supersedes another.
	Limit int
}

// Releases returns those that match, newest first.
func (f *Fleet) Releases(ctx context.Context, q ReleaseQuery) ([]Release, error) {
	var found []Release
	var err error
	if f.cfg.Store != nil {
		err = ask(ctx, func(ctx context.Context) (err error) {
			found, err = f.cfg.Store.Releases(ctx, q)
			return err
		})
	} else {
		found = f.remembered(q)
	}
	for i := range found {
		f.addRollout(ctx, &found[i])
	}
	return found, err
}

// remembered are the releases where nothing is kept.
func (f *Fleet) remembered(q ReleaseQuery) (found []Release) {
	for _, r := range f.Status().releases {
		if (q.State == "" || q.State == r.State) && (q.Before == 0 || r.Generation < q.Before) {
			found = append(found, *r)
		}
	}
	slices.SortFunc(found, func(a, b Release) int { return cmp.Compare(b.Generation, a.Generation) })
	return found
}

// Release returns one, by its ID or revision, with the Groups of its impact.
func (f *Fleet) Release(ctx context.Context, id string) (*Release, error) {
	if strings.Contains(id, "@") {
		id = releaseID(id)
	}
	var r *Release
	if f.cfg.Store != nil {
		err := ask(ctx, func(ctx context.Context) (err error) {
			r, err = f.cfg.Store.Release(ctx, id)
			return err
		})
		if err != nil {
			return nil, err
		}
	} else if known := f.Status().releases[id]; known != nil {
		r = &Release{}
		*r = *known
	}
	if r == nil {
		return nil, fmt.Errorf("release %q: %w", id, ErrNotFound)
	}
	f.addRollout(ctx, r)
	return r, nil
}

// withoutGroups is the release with an impact that has no groups.
func (r *Release) withoutGroups() *Release {
	next, impact := *r, *r.Impact
	impact.Groups = nil
	next.Impact = &impact
	return &next
}

// addRollout adds how far a release has come that is being rolled out.
func (f *Fleet) addRollout(ctx context.Context, r *Release) {
	v := f.current.Load()
	if v != nil && v.rollout() != nil && releaseID(v.rollout().Release.Revision) == r.ID {
		r.Rollout = f.progress(ctx, v).status
	}
}

// Pins are those in force, sorted by name.
func (v *View) Pins() []*Pin { return v.pins.list() }

// Pinned is the pin that keeps a member on its release; nil for none.
func (v *View) Pinned(m *Member) *Pin {
	if m.State != Active {
		return nil
	}
	if declared := v.declaration(m.Cluster.Name); declared != nil {
		return v.pins.of(declared)
	}
	return nil
}

// Why says why a member is not on the release that the fleet goes to, in words for
// people; "" where it is.
func (v *View) Why(m *Member) string {
	record, r := v.records[m.Cluster.Name], v.rollout()
	switch p := v.Pinned(m); {
	case m.State == DecommissionedState:
		return ""
	case m.lost != nil && !m.unserved(v):
		return m.lost.Error()
	case m.State == OrphanedState:
		return "its file has vanished; it is frozen until that is back, or it is decommissioned"
	case record != nil && record.Stays.inSpiteOf(p):
		return fmt.Sprintf("pin %s would have it on a release that is not good for it: %s", p.Name, record.Stays.Why)
	case p != nil:
		return fmt.Sprintf("pin %s keeps it there%s", p.Name, colon(p.Reason))
	case record != nil && record.Stays != nil:
		return record.Stays.Why
	case r != nil && m.base == v.base:
		return fmt.Sprintf("release %s has not reached it yet", releaseID(r.Release.Revision))
	}
	return ""
}

func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}
