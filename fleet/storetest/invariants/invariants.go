// Package invariants asserts what holds of the state after every change:
//
//   - each cluster is on the release that it should be on ([rollout.Rules.Desired]), with the reason
//     for that, or its row is Failing, and that release is not valid for it;
//   - no Failing row is on the release that the cluster should be on;
//   - a cluster without a row has a file in the live release or a declaration, and a tombstone has no
//     row;
//   - a row covers no more than one other row, and its release is stored, or zero;
//   - one release is live, and at most one is rolling out: it has reached a cluster, and not all waves.
//
// Every test with a store ends with
//
//	invariants.Hold(t, store, render.Renderer{}, archive.Archive{})
package invariants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/rollout"
)

// Rules are what is known of releases in order to check a state.
type Rules struct {
	// Compiled finds the releases that the state is about.
	Compiled fleet.Lookup
	// IsValid reports whether the release that a cluster with a Failing row should be on is valid for
	// it after all.
	IsValid func(s *fleet.State, cluster string, on rollout.Target) bool
}

// Broken returns what does not hold in a state.
func (r Rules) Broken(s *fleet.State) (broken []string) {
	wrong := func(is bool, format string, args ...any) {
		if is {
			broken = append(broken, fmt.Sprintf(format, args...))
		}
	}
	if o := s.Rollout; o != nil {
		wrong(o.Step < 0 || o.Step >= len(o.Waves) || o.Step+o.Part <= 0, "the rollout is at step %d and part %d of %d waves", o.Step, o.Part, len(o.Waves))
		wrong(o.Release == s.LiveRef(), "the live release is rolling out")
	}
	rules, live := rollout.NewRules(s, r.Compiled), r.Compiled(s.LiveRef())
	for _, name := range s.Names(r.Compiled) {
		row := s.Assignments[name]
		want, somewhere := rules.Desired(name)
		switch {
		case s.Records[name].IsDecommissioned():
			wrong(row != nil || somewhere, "%s is decommissioned, and has the row %s", name, text(row))
		case row == nil:
			wrong(!somewhere || want.Reason != "", "%s has no row, and should be on %s", name, text(want))
			wrong(live.File(name) == nil && !s.Records[name].IsDeclared(), "%s has neither a row nor a file nor a declaration", name)
		case row.Reason == fleet.ReasonFailing:
			wrong(row.Release == want.Release, "%s is Failing on the release that it should be on: %s", name, text(row))
			wrong(r.IsValid(s, name, want), "%s is Failing, and %s is valid for it: %s", name, text(want), text(row))
		default:
			wrong(row.Release != want.Release || row.Reason != want.Reason || want.Detail != "" && row.Detail != want.Detail,
				"%s should be on %s: %s", name, text(want), text(row))
		}
		wrong(row != nil && row.Previous != nil && row.Previous.Previous != nil, "%s covers more than one row: %s", name, text(row))
	}
	return broken
}

// Hold folds the whole log of a store from generation 0 and asserts the invariants after each change.
// Nothing may be appended meanwhile. Changes that are about a release which is no longer stored are
// passed over. Of a log that has been pruned, only the stored state is checked.
func Hold(t testing.TB, s fleet.Store, r fleet.Renderer, a fleet.Archive) {
	t.Helper()
	ctx := context.Background() // that of the test has ended where a cleanup calls this
	loaded, err := s.Load(ctx)
	if err != nil {
		t.Errorf("Load: %v", err)
		return
	}
	releases := &storedReleases{ctx: ctx, store: s, renderer: r, archive: a, compiled: map[fleet.ReleaseRef]*fleet.Compiled{}}
	state := fleet.NewState(loaded)
	for ref, user := range state.ReleasesInUse() {
		if _, err := s.Snapshot(ctx, ref.Snapshot); err != nil {
			t.Errorf("the release of %s is not stored, and %s needs it: %v", ref.Revision, user, err)
		}
	}
	going, err := s.Releases(ctx, fleet.ReleaseQuery{State: fleet.Live})
	if err != nil {
		t.Errorf("Releases: %v", err)
	}
	states := map[fleet.ReleaseState]int{}
	for i := range going {
		states[going[i].State]++
	}
	if state.Live != nil && states[fleet.Live] != 1 || states[fleet.RollingOut] > 1 {
		t.Errorf("%d releases are live, and %d are rolling out", states[fleet.Live], states[fleet.RollingOut])
	}
	all, err := s.Since(ctx, 0)
	switch {
	case errors.Is(err, fleet.ErrNotFound):
		releases.check(t, state, &fleet.Change{Generation: state.Generation})
		return
	case err != nil:
		t.Errorf("Since(0): %v", err)
		return
	}
	state = fleet.NewState(&fleet.LogState{})
	for i := range all.Changes {
		state = state.Apply(&all.Changes[i])
		releases.check(t, state, &all.Changes[i])
	}
}

// storedReleases compiles the releases of a store, each once.
type storedReleases struct {
	ctx      context.Context
	store    fleet.Store
	renderer fleet.Renderer
	archive  fleet.Archive
	compiled map[fleet.ReleaseRef]*fleet.Compiled
}

func (r *storedReleases) check(t testing.TB, s *fleet.State, last *fleet.Change) {
	t.Helper()
	if s.Live == nil {
		return
	}
	for ref := range s.ReleasesInUse() {
		if r.get(ref) == nil {
			return
		}
	}
	decided := map[string]bool{}
	for _, a := range last.Assignments {
		decided[a.Cluster] = true
	}
	// Whether a release is valid for a cluster may have changed since the cluster's row was written.
	isValid := func(s *fleet.State, name string, on rollout.Target) bool {
		return decided[name] && r.isValid(s, name, on)
	}
	for _, broken := range (Rules{r.get, isValid}).Broken(s) {
		t.Errorf("generation %d, %s: %s", last.Generation, last.Kind, broken)
	}
}

func (r *storedReleases) get(ref fleet.ReleaseRef) *fleet.Compiled {
	if c, known := r.compiled[ref]; known {
		return c
	}
	r.compiled[ref] = nil
	packed, err := r.store.Snapshot(r.ctx, ref.Snapshot)
	if err != nil {
		return nil
	}
	tree, err := r.archive.Unpack(r.ctx, packed)
	if err != nil {
		return nil
	}
	r.compiled[ref], _ = fleet.Compile(r.ctx, r.renderer, &fleet.Snapshot{Revision: ref.Revision, Tree: tree}, ref.Snapshot, time.Time{})
	return r.compiled[ref]
}

// isValid renders a cluster with a Failing row as what it would be on another release.
func (r *storedReleases) isValid(s *fleet.State, name string, on rollout.Target) bool {
	row, release, live := s.Assignments[name], r.get(on.Release), r.get(s.LiveRef())
	last := row.Spec
	if last != nil && (last.File == "" || live.File(name) != nil) {
		last = nil
	}
	spec := s.Spec(name, release, on.Reason, last, r.get)
	if release == nil || spec == nil || release.IsUnreadable(name, spec) != nil {
		return false
	}
	rendering, _ := release.Repo.Render(r.ctx, spec, s.Deltas.For(spec), nil)
	return rendering != nil
}

func text(v any) string {
	document, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(document)
}
