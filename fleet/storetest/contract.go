package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

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
			t.Errorf("%s: error %v, want %v alone", method, err, context.Canceled)
		}
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := s.Load(late); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Load: error %v, want %v", err, context.DeadlineExceeded)
	}
	wantLog(t, s, nil)
	wantNoSnapshot(t, s, digest("any"))
}

// everyMethod calls each method with arguments that are valid, and returns the errors by name.
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
	_, _, failed["TokensSince"] = s.TokensSince(ctx, 0)
	_, failed["Releases"] = s.Releases(ctx, fleet.ReleaseQuery{})
	_, failed["Release"] = s.Release(ctx, "any")
	_, _, failed["Lead"] = s.Lead(ctx, "ann", time.Minute)
	failed["ReleaseLease"] = s.ReleaseLease(ctx, "ann")
	failed["RequestLook"] = s.RequestLook(ctx)
	failed["SavePolls"] = s.SavePolls(ctx, []fleet.Poll{{Cluster: "eu-01", Set: "apps", At: noon}}, nil)
	_, failed["Polls"] = s.Polls(ctx, fleet.PollQuery{Clusters: []string{"eu-01"}})
	_, failed["Uses"] = s.Uses(ctx)
	return failed
}
