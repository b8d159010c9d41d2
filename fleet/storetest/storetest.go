// Package storetest holds a change log to its contract, that of fleet.Store. It
// is there so that every database keeps the same promises, and tests nothing but
// what the contract says. It never knows what kind of database it has.
package storetest

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Store is a store under test. Closed and opened again it is what a restart sees.
type Store interface {
	fleet.Store
	io.Closer
}

// Database opens a database that is one test's own; each call is another handle,
// closed when the test ends. Its clock is now.
type Database func(t testing.TB, now func() time.Time) Store

// Run runs the suite; create makes an empty database.
func Run(t *testing.T, create func(t *testing.T) Database) {
	for _, test := range []struct {
		property string
		check    func(*testing.T, Database)
	}{
		{"EmptyLogIsEmpty", emptyLogIsEmpty},
		{"ClosedStoreIsUnavailable", closedStoreIsUnavailable},
		{"CancelledCallKeepsNothing", cancelledCallKeepsNothing},
		{"CancelledChangeIsKnown", cancelledChangeIsKnown},
		{"ChangeComesBackAsItWas", changeComesBackAsItWas},
		{"DeltaThatIsNoJSONIsRefused", deltaThatIsNoJSONIsRefused},
		{"ChangeOfManyComesBackWhole", changeOfManyComesBackWhole},
		{"LogIsTheFoldOfItsChanges", logIsTheFoldOfItsChanges},
		{"OnlyTheNextGenerationIsTaken", onlyTheNextGenerationIsTaken},
		{"ReleaseGoesLive", releaseGoesLive},
		{"ReleaseWithoutSnapshotIsRefused", releaseWithoutSnapshotIsRefused},
		{"PinWithoutSnapshotIsRefused", pinWithoutSnapshotIsRefused},
		{"ReleaseIsListedAsItIs", releaseIsListedAsItIs},
		{"ReleaseListHasPages", releaseListHasPages},
		{"ReleaseInUseIsKept", releaseInUseIsKept},
		{"LastReleasesAreKept", lastReleasesAreKept},
		{"HistoryMatchesItsQuery", historyMatchesItsQuery},
		{"HistoryHasPages", historyHasPages},
		{"SnapshotComesBackAsItWas", snapshotComesBackAsItWas},
		{"SnapshotIsKeptForItsHour", snapshotIsKeptForItsHour},
		{"PruneKeepsWhatExplains", pruneKeepsWhatExplains},
		{"PruneOfManyDropsAll", pruneOfManyDropsAll},
		{"PrunedReleasesHideNoDeltas", prunedReleasesHideNoDeltas},
		{"ConcurrentChangesAreAllKept", concurrentChangesAreAllKept},
		{"ReadersSeeOneGeneration", readersSeeOneGeneration},
		{"HandlesOpenAtOnce", handlesOpenAtOnce},
		{"SinceIsWhatCameAfter", sinceIsWhatCameAfter},
		{"EndedTokensArePruned", endedTokensArePruned},
		{"FrozenSnapshotIsKept", frozenSnapshotIsKept},
		{"OneLeads", oneLeads},
		{"OnlyTheLeaderChanges", onlyTheLeaderChanges},
		{"LooksAreCounted", looksAreCounted},
		{"ListenersHearOrCannot", listenersHearOrCannot},
		{"LastPollStays", lastPollStays},
		{"PurgedClusterHasNoPolls", purgedClusterHasNoPolls},
	} {
		t.Run(test.property, func(t *testing.T) { test.check(t, create(t)) })
	}
}

func emptyLogIsEmpty(t *testing.T, open Database) {
	s := open(t, time.Now)
	wantLog(t, s, nil)
	if n, err := s.Generation(t.Context()); n != 0 || err != nil {
		t.Errorf("Generation of an empty log = %d, %v, want 0", n, err)
	}
	for _, generation := range []int64{-1, 1, 1 << 62} {
		if _, err := s.StateAt(t.Context(), generation); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("StateAt(%d): error %v, want %v", generation, err, fleet.ErrNotFound)
		}
	}
	if _, err := s.Snapshot(t.Context(), digest("none")); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Snapshot: error %v, want %v", err, fleet.ErrNotFound)
	}
	if n, err := s.Prune(t.Context(), time.Now()); n != 0 || err != nil {
		t.Errorf("Prune = %d, %v, want 0", n, err)
	}
	wantLog(t, s, nil)
}

func closedStoreIsUnavailable(t *testing.T, open Database) {
	s := open(t, time.Now)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for method, err := range everyMethod(t.Context(), s) {
		if !errors.Is(err, fleet.ErrStore) {
			t.Errorf("%s: error %v, want %v", method, err, fleet.ErrStore)
		}
	}
}

func cancelledCallKeepsNothing(t *testing.T, open Database) {
	s := open(t, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for method, err := range everyMethod(ctx, s) {
		if !errors.Is(err, context.Canceled) || errors.Is(err, fleet.ErrStore) {
			t.Errorf("%s: error %v, want %v and no more", method, err, context.Canceled)
		}
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := s.Load(late); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Load: error %v, want %v", err, context.DeadlineExceeded)
	}
	wantLog(t, s, nil)
	if _, err := s.Snapshot(t.Context(), digest("any")); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Snapshot: error %v, want %v", err, fleet.ErrNotFound)
	}
}

// everyMethod calls each method with what would be fine.
func everyMethod(ctx context.Context, s Store) map[string]error {
	failed := map[string]error{}
	_, failed["Load"] = s.Load(ctx)
	failed["Append"] = s.Append(ctx, written(1, set("a", "one")))
	_, failed["Changes"] = s.Changes(ctx, fleet.ChangeQuery{})
	_, failed["StateAt"] = s.StateAt(ctx, 0)
	failed["SaveSnapshot"] = s.SaveSnapshot(ctx, packed("any"))
	_, failed["Snapshot"] = s.Snapshot(ctx, digest("any"))
	_, failed["Prune"] = s.Prune(ctx, time.Now())
	_, failed["Generation"] = s.Generation(ctx)
	_, failed["Since"] = s.Since(ctx, 0)
	_, failed["Releases"] = s.Releases(ctx, fleet.ReleaseQuery{})
	_, failed["Release"] = s.Release(ctx, "any")
	_, _, failed["Lead"] = s.Lead(ctx, "ann", time.Minute)
	failed["Resign"] = s.Resign(ctx, "ann")
	failed["AskLook"] = s.AskLook(ctx)
	failed["SavePolls"] = s.SavePolls(ctx, []fleet.Poll{{Cluster: "eu-01", Set: "apps", At: noon}}, nil)
	_, failed["Polls"] = s.Polls(ctx, []string{"eu-01"})
	_, failed["Uses"] = s.Uses(ctx)
	return failed
}
