package controller_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// hung is a store that takes what it is asked, and never answers.
type hung struct{ fleet.Store }

func (hung) Polls(ctx context.Context, _ []string) ([]fleet.Poll, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hung) Uses(ctx context.Context) (map[string]time.Time, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Who asks for the fleet is shown what this server knows, and not kept waiting for
// what others have saved.
func TestHungStoreKeepsNobodyWaitingForPollsAndUses(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.put("main@1", acme())
	r := start(t, s, hung{openStore(t, sqliteFile(t))})
	r.awaitRevision("main@1")
	r.recordPoll("ann", "apps", 1, "")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if polls := r.Polls(ctx, "ann"); len(polls["ann"]) != 1 {
		t.Errorf("polls = %v, want the one that this server answered", polls)
	}
	r.TokenUses(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error("a store that hangs kept the fleet from being shown")
	}
}
