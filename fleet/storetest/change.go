package storetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// noon is when the tests' changes are made, one a second.
var noon = time.Date(2026, 3, 29, 12, 0, 0, 123456000, time.UTC)

// written is a change of deltas.
func written(generation int64, deltas ...fleet.DeltaChange) *fleet.Change {
	slices.SortFunc(deltas, func(a, b fleet.DeltaChange) int { return cmp.Compare(a.Delta, b.Delta) })
	return &fleet.Change{
		Generation: generation, At: noon.Add(time.Duration(generation) * time.Second),
		Kind: fleet.Written, Actor: "ada", Deltas: deltas,
	}
}

// released is a release of a snapshot that went live.
func released(generation int64, snapshot string) *fleet.Change {
	return about(fleet.WentLive, generation, snapshot)
}

// named is a delta with a reason by which to tell it from others of its name.
func named(name, reason string) *fleet.Delta {
	return &fleet.Delta{
		Name: name, Clusters: []string{"eu-prod-01"}, Reason: reason,
		Edits: []fleet.Edit{{Kind: "PlatformComponent", Name: "keda", Patch: json.RawMessage(`{"spec":{"replicas":3}}`)}},
	}
}

// set makes a named delta new, with a reason.
func set(name, reason string) fleet.DeltaChange {
	return fleet.DeltaChange{Delta: fleet.DeltaID(name), After: named(name, reason)}
}

func packed(snapshot string) *fleet.Packed {
	return &fleet.Packed{Digest: digest(snapshot), Data: []byte("the tree of " + snapshot), Parts: []fleet.PackedPart{
		{Digest: digest("all have it"), Data: []byte("what all have")}, {Digest: digest("part of " + snapshot), Data: []byte("what only this one has")},
	}}
}

func digest(snapshot string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(snapshot)))
}

// log is a change log as it should be.
type log []fleet.Change

// random is a log of n changes, over a few names so that each matters to others.
// Some are of releases and pins, whose snapshots must be saved.
func random(r *rand.Rand, n int) log {
	var l log
	for range n {
		next := int64(len(l) + 1)
		if r.IntN(6) == 0 {
			c := released(next, pick(r, "one", "two"))
			c.Releases = l.goesOn(c)
			l = append(l, *c)
			continue
		}
		if r.IntN(8) == 0 {
			l = append(l, *l.steered(r))
			continue
		}
		c := written(next)
		for c.Deltas == nil && c.Records == nil && c.Tokens == nil && c.Pins == nil {
			if r.IntN(3) > 0 {
				c.Deltas = written(next, l.someDeltas(r)...).Deltas
			}
			if r.IntN(4) == 0 {
				c.Records = l.someRecords(r)
			}
			if r.IntN(4) == 0 {
				c.Tokens = l.someTokens(r)
			}
			if r.IntN(4) == 0 {
				c.Pins = l.somePins(r)
			}
		}
		c.Kind = pick(r, fleet.Written, fleet.RolledBack, fleet.Withdrawn)
		c.Actor, c.Reason = pick(r, "ada", "grace", "O'Hara"), pick(r, "", "because", "$1")
		for _, name := range []string{"ap-01", "eu-01", "us-01"} {
			if r.IntN(2) == 0 {
				c.Clusters = append(c.Clusters, name)
			}
		}
		c.At = c.At.Add(time.Duration(r.IntN(5)-2) * 1500 * time.Millisecond) // clocks differ
		l = append(l, *c)
	}
	return l
}

// someDeltas changes up to three deltas of what the log adds up to.
func (l log) someDeltas(r *rand.Rand) []fleet.DeltaChange {
	names := []string{"a", "B", "b", "ä", "z"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	inForce := l.at(int64(len(l))).Deltas
	var changed []fleet.DeltaChange
	for _, name := range names[:1+r.IntN(3)] {
		c := set(name, fmt.Sprint(len(l)))
		i := slices.IndexFunc(inForce, func(d *fleet.Delta) bool { return d.ID() == c.Delta })
		if i >= 0 {
			c.Before = inForce[i]
			if r.IntN(2) == 0 {
				c.After = nil
			}
		}
		changed = append(changed, c)
	}
	return changed
}

// someRecords changes what the log says of one or two clusters.
func (l log) someRecords(r *rand.Rand) []fleet.RecordChange {
	now := l.at(int64(len(l))).Records
	var changed []fleet.RecordChange
	for _, name := range []string{"ap-01", "eu-01", "us-01"}[r.IntN(3):] {
		c := fleet.RecordChange{Cluster: name, After: record(name, fmt.Sprint(len(l)))}
		if i := slices.IndexFunc(now, func(r *fleet.ClusterRecord) bool { return r.Cluster == name }); i >= 0 {
			c.Before = now[i]
			if r.IntN(2) == 0 {
				c.After = nil
			}
		}
		changed = append(changed, c)
	}
	return changed
}

// record is what a log says of a cluster, with a label by which to tell it from others.
func record(name, label string) *fleet.ClusterRecord {
	return &fleet.ClusterRecord{Cluster: name, Declared: &fleet.Declaration{
		DNS: name + ".example.com", Labels: map[string]string{"label": label}, Resources: []json.RawMessage{json.RawMessage(`{"kind":"A"}`)},
	}}
}

// someTokens creates one or changes one.
func (l log) someTokens(r *rand.Rand) []fleet.TokenChange {
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

// token is one whose secrets follow from its ID.
func token(id string) *fleet.Token {
	return &fleet.Token{
		ID: id, Name: "token " + id, Role: fleet.RoleCluster, Cluster: "eu-01", CreatedAt: noon,
		TokenSecret: fleet.TokenSecret{Hash: fleet.HashToken(id), Salt: []byte("salt\x00" + id), Proof: []byte("proof of " + id)},
	}
}

// at is the fold of the log up to a generation, as far as StateAt tells it.
func (l log) at(generation int64) *fleet.LogState {
	deltas, records := map[string]*fleet.Delta{}, map[string]*fleet.ClusterRecord{}
	for _, c := range l {
		if c.Generation > generation {
			break
		}
		for _, d := range c.Deltas {
			deltas[d.Delta] = d.After
		}
		for _, r := range c.Records {
			records[r.Cluster] = r.After
		}
	}
	return &fleet.LogState{Generation: generation, Deltas: inOrder(deltas), Records: inOrder(records)}
}

// tokens are those of the log as they are in the end.
func (l log) tokens() []*fleet.Token {
	all := map[string]*fleet.Token{}
	for _, c := range l {
		for _, t := range c.Tokens {
			all[t.Token] = t.After
		}
	}
	return inOrder(all)
}

// inOrder are the values that there are, sorted by key.
func inOrder[T any](all map[string]*T) []*T {
	var some []*T
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if all[key] != nil {
			some = append(some, all[key])
		}
	}
	return some
}

// live is the entry of the live release, nil if there is none.
func (l log) live() *fleet.Change {
	for _, c := range slices.Backward(l) {
		if c.Kind == fleet.WentLive {
			return &c
		}
	}
	return nil
}

// in appends the log to a store, with the snapshots of its releases and pins.
func (l log) in(t testing.TB, s Store) {
	t.Helper()
	for _, c := range l {
		var revisions []string
		if c.Release != nil {
			revisions = append(revisions, c.Release.Revision)
		}
		for _, p := range c.Pins {
			if p.After != nil {
				revisions = append(revisions, p.After.Revision)
			}
		}
		for _, revision := range revisions {
			if err := s.SaveSnapshot(t.Context(), packed(revision[len("main@sha1:"):])); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Append(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// seeded is the same for each run of a test, and another for each test.
func seeded(t testing.TB) *rand.Rand {
	return rand.New(rand.NewChaCha8(sha256.Sum256([]byte(t.Name()))))
}
