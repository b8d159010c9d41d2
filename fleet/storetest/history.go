package storetest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

func historyMatchesItsQuery(t *testing.T, open Database) {
	s, r := open(t, time.Now), seeded(t)
	l := random(r, 120)
	l.appendTo(t, s)
	for range size(400, 120) {
		q := randomQuery(r, l)
		wantChanges(t, s, q, l.matching(q))
	}
}

// randomQuery sets each field in one of three queries.
func randomQuery(r *rand.Rand, l log) fleet.ChangeQuery {
	var q fleet.ChangeQuery
	maybe := func(set func()) {
		if r.IntN(3) == 0 {
			set()
		}
	}
	if r.IntN(20) == 0 {
		q.Generation = 1 + r.Int64N(l.next())
	}
	maybe(func() { q.Cluster = pick(r, "ap-01", "eu-01", "none") })
	maybe(func() { q.Actor = pick(r, "ada", "O'Hara", fleet.OwnActor, "none") })
	maybe(func() { q.Delta = pick(r, "delta/a", "delta/B", "delta/ä", "cluster/a") })
	// A time between two microseconds is on the far side of the nearest one.
	maybe(func() { q.Since = pick(r, l...).At.Add(time.Duration(r.IntN(3)-1) * time.Nanosecond) })
	maybe(func() { q.Until = pick(r, l...).At.Add(time.Duration(r.IntN(3)-1) * time.Nanosecond) })
	maybe(func() { q.Before = 1 + r.Int64N(l.next()) })
	maybe(func() { q.After = r.Int64N(l.next()) })
	maybe(func() { q.Limit = 1 + r.IntN(20) })
	return q
}

// matching returns what a query should find, oldest first.
func (l log) matching(q fleet.ChangeQuery) log {
	var found log
	for _, c := range l {
		if matches(q, c) {
			found = append(found, c)
		}
	}
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	return found[max(0, len(found)-limit):]
}

func matches(q fleet.ChangeQuery, c fleet.Change) bool {
	is := func(d fleet.DeltaChange) bool { return d.Delta == q.Delta }
	return (q.Generation == 0 || c.Generation == q.Generation) &&
		(q.Cluster == "" || c.Kind == fleet.WentLive || slices.Contains(c.Clusters, q.Cluster)) &&
		(q.Actor == "" || c.Actor == q.Actor) &&
		(q.Delta == "" || slices.ContainsFunc(c.Deltas, is)) &&
		(q.Since.IsZero() || !c.At.Before(q.Since)) &&
		(q.Until.IsZero() || !c.At.After(q.Until)) &&
		(q.After == 0 || c.Generation > q.After) &&
		(q.Before == 0 || c.Generation < q.Before)
}

func historyHasPages(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := random(seeded(t), 105)
	l.appendTo(t, s)
	wantChanges(t, s, fleet.ChangeQuery{}, l[5:])
	q := fleet.ChangeQuery{Limit: 10}
	for end := len(l); end > 0; end -= q.Limit {
		page := l[max(0, end-q.Limit):end]
		wantChanges(t, s, q, page)
		q.Before = page[0].Generation
	}
	wantChanges(t, s, q, nil)
}

// historyOutlivesWhatItNames: an entry has the assignments before and after it, with the names of
// their releases, when the releases and the entries before it have been pruned.
func historyOutlivesWhatItNames(t *testing.T, open Database) {
	now := noon
	s := open(t, func() time.Time { return now })
	before, after := assigned("eu-01", "old", fleet.ReasonPinned, 1), assigned("eu-01", "new", fleet.ReasonPinned, 2)
	before.Previous = assigned("eu-01", "older", fleet.ReasonSuperseded, 1)
	l := log{*written(1), *written(2)}
	l[0].Assignments = []fleet.AssignmentChange{{Cluster: "eu-01", After: before}}
	l[1].Assignments = []fleet.AssignmentChange{{Cluster: "eu-01", Before: before, After: after}}
	l.appendTo(t, s)
	now = now.AddDate(1, 0, 0)
	for range 2 { // again, because the first one leaves nothing that names the value any more
		if _, err := s.Prune(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		wantChanges(t, s, fleet.ChangeQuery{}, l[1:])
	}
}
