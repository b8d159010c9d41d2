// Package storetest is the conformance suite for implementations of [fleet.Store]. It checks the
// promises that the interface makes and nothing else, so that every database keeps them:
//
//	func TestSQLite(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Database { … })
//	}
//
// FoldEqualsState is for every other test that has a store: it compares the fold of the change
// log with the stored state.
package storetest

import (
	"io"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Store is a store under test. When it is closed and opened again, it is what a restart sees.
type Store interface {
	fleet.Store
	io.Closer
}

// Database opens a database that belongs to one test. Each call returns another handle, which is
// closed when the test ends and whose clock is now.
type Database func(t testing.TB, now func() time.Time) Store

// size returns how much of something a test does: less with -short.
func size(long, short int) int {
	if testing.Short() {
		return short
	}
	return long
}

// Run runs the suite. Create makes an empty database. Subtests run in parallel.
func Run(t *testing.T, create func(t *testing.T) Database) {
	for _, test := range []struct {
		property string
		check    func(*testing.T, Database)
	}{
		{"EmptyLogIsEmpty", emptyLogIsEmpty},
		{"ClosedStoreIsUnavailable", closedStoreIsUnavailable},
		{"CancelledCallKeepsNothing", cancelledCallKeepsNothing},

		{"ChangeComesBackAsItWas", changeComesBackAsItWas},
		{"DeltaThatIsNotJSONIsRefused", deltaThatIsNotJSONIsRefused},
		{"LargeChangeComesBackWhole", largeChangeComesBackWhole},
		{"StateIsTheFoldOfTheLog", stateIsTheFoldOfTheLog},
		{"OnlyTheNextGenerationIsTaken", onlyTheNextGenerationIsTaken},

		{"AssignmentComesBackAsItWas", assignmentComesBackAsItWas},
		{"AssignmentsOfAWholeFleetComeBack", assignmentsOfAWholeFleetComeBack},
		{"TombstoneKeepsItsAssignment", tombstoneKeepsItsAssignment},

		{"RolloutComesBackAsItWas", rolloutComesBackAsItWas},
		{"PurgeRemovesTheNameFromWaves", purgeRemovesTheNameFromWaves},
		{"CandidateComesBackAsItWas", candidateComesBackAsItWas},
		{"LossesCountUntilTheyEnd", lossesCountUntilTheyEnd},

		{"ReleaseGoesLive", releaseGoesLive},
		{"ReleaseWithoutSnapshotIsRefused", releaseWithoutSnapshotIsRefused},
		{"ReleaseIsListedAsItIs", releaseIsListedAsItIs},
		{"LiveReleasesIncludeRollingOut", liveReleasesIncludeRollingOut},
		{"ReleaseThatComesBackIsAnotherRow", releaseThatComesBackIsAnotherRow},
		{"ReleaseListHasPages", releaseListHasPages},

		{"HistoryMatchesItsQuery", historyMatchesItsQuery},
		{"HistoryHasPages", historyHasPages},
		{"HistoryOutlivesWhatItNames", historyOutlivesWhatItNames},

		{"SnapshotComesBackAsItWas", snapshotComesBackAsItWas},
		{"SnapshotIsKeptForItsHour", snapshotIsKeptForItsHour},

		{"PruneKeepsWhatExplains", pruneKeepsWhatExplains},
		{"PruneOfManyDropsAll", pruneOfManyDropsAll},
		{"PrunedReleasesHideNoDeltas", prunedReleasesHideNoDeltas},
		{"ReleaseInUseIsKept", releaseInUseIsKept},
		{"LastReleasesAreKept", lastReleasesAreKept},
		{"EndedTokensArePruned", endedTokensArePruned},

		{"ConcurrentChangesAreAllKept", concurrentChangesAreAllKept},
		{"CancelledChangeIsKnown", cancelledChangeIsKnown},
		{"ReadersSeeOneGeneration", readersSeeOneGeneration},
		{"HandlesOpenAtOnce", handlesOpenAtOnce},

		{"SinceIsWhatCameAfter", sinceIsWhatCameAfter},
		{"OneLeads", oneLeads},
		{"OnlyTheLeaderChanges", onlyTheLeaderChanges},
		{"LooksAreCounted", looksAreCounted},
		{"ListenersHearOrCannot", listenersHearOrCannot},
		{"UnendedTriesAreCounted", unendedTriesAreCounted},
		{"LastPollStays", lastPollStays},
		{"PurgedClusterHasNoPolls", purgedClusterHasNoPolls},
	} {
		t.Run(test.property, func(t *testing.T) {
			t.Parallel()
			test.check(t, create(t))
		})
	}
}
