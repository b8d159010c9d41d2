package view

import (
	"context"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Prepare compiles a snapshot, and renders and checks every cluster of it with the deltas that are
// for it. The view is nil where there is any fault. The problems are all that there are, sorted. The
// error is ctx's. Progress, where it is not nil, is called after each cluster, by one goroutine at a
// time.
func Prepare(ctx context.Context, r fleet.Renderer, s *fleet.Snapshot, deltas []*fleet.Delta, progress func(done, total int)) (*View, fleet.Problems, error) {
	compiled, err := fleet.Compile(ctx, r, s, "", time.Time{})
	if err != nil {
		return nil, nil, err
	}
	state := fleet.NewState(&fleet.LogState{Live: &fleet.LiveRelease{ReleaseRef: compiled.Ref}, Deltas: deltas})
	v, problems, err := Build(ctx, state, compiled, Releases{compiled.Ref: compiled}, Options{Progress: progress})
	if err != nil {
		return nil, nil, err
	}
	problems = slices.Concat(problems, compiled.Repo.Problems(), v.Clashes(nil), v.OverLimit()).Sort()
	if len(problems.Faults()) > 0 {
		return nil, problems, nil
	}
	return v, problems, nil
}
