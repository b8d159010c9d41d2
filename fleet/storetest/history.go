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
	l.in(t, s)
	for range 400 {
		q := randomQuery(r, l)
		wantChanges(t, s, q, l.matching(q))
	}
}

// randomQuery has each field in one of three.
func randomQuery(r *rand.Rand, l log) fleet.ChangeQuery {
	var q fleet.ChangeQuery
	maybe := func(set func()) {
		if r.IntN(3) == 0 {
			set()
		}
	}
	if r.IntN(20) == 0 {
		q.Generation = 1 + r.Int64N(int64(len(l)+1))
	}
	maybe(func() { q.Cluster = pick(r, "ap-01", "eu-01", "none") })
	maybe(func() { q.Actor = pick(r, "ada", "O'Hara", "tributary", "none") })
	maybe(func() { q.Delta = pick(r, "delta/a", "delta/B", "delta/ä", "cluster/a") })
	// Times between microseconds are on the far side of the nearest one.
	maybe(func() { q.Since = pick(r, l...).At.Add(time.Duration(r.IntN(3)-1) * time.Nanosecond) })
	maybe(func() { q.Until = pick(r, l...).At.Add(time.Duration(r.IntN(3)-1) * time.Nanosecond) })
	maybe(func() { q.Before = 1 + r.Int64N(int64(len(l)+1)) })
	maybe(func() { q.Limit = 1 + r.IntN(20) })
	return q
}

// matching is what a query should find, oldest first.
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
	isOf := func(d fleet.DeltaChange) bool { return d.Delta == q.Delta }
	return (q.Generation == 0 || c.Generation == q.Generation) &&
		(q.Cluster == "" || c.Kind == fleet.WentLive || slices.Contains(c.Clusters, q.Cluster)) &&
		(q.Actor == "" || c.Actor == q.Actor) &&
		(q.Delta == "" || slices.ContainsFunc(c.Deltas, isOf)) &&
		(q.Since.IsZero() || !c.At.Before(q.Since)) &&
		(q.Until.IsZero() || !c.At.After(q.Until)) &&
		(q.Before == 0 || c.Generation < q.Before)
}

func historyHasPages(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := random(seeded(t), 105)
	l.in(t, s)
	wantChanges(t, s, fleet.ChangeQuery{}, l[5:])
	q := fleet.ChangeQuery{Limit: 10}
	for end := len(l); end > 0; end -= q.Limit {
		page := l[max(0, end-q.Limit):end]
		wantChanges(t, s, q, page)
		q.Before = page[0].Generation
	}
	wantChanges(t, s, q, nil)
}
