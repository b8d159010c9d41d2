package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Write says who asks for a change, why, and on which condition.
type Write struct {
	// Actor is the name of the credential.
	Actor  string
	Reason string
	// DryRun has all done but the change itself.
	DryRun bool
	// Confirm is the digest of the impact that is confirmed, of a write beyond the guard.
	Confirm string
	// Scope limits the write to clusters that it matches; nil does not.
	Scope *Selector
	// Expect, where it is not nil, is given what the write is about as it is now,
	// nil for nothing, and returns an ErrStale where that is not what was expected.
	Expect func(present any) error

	holder string // who must lead for the change to be kept; empty for anybody
}

// Present is a cluster as it is, as a condition of a write is given it.
type Present struct {
	View   *View
	Member *Member
}

// Result is what came of a write, or what would with DryRun.
type Result struct {
	// Generation is that of the change, or the present one where nothing changed.
	Generation int64 `json:"generation"`
	DryRun     bool  `json:"dryRun,omitempty"`
	// Changes are the inputs that are others now, by cluster, set and id.
	Changes []InputChange `json:"changes"`
	// Clusters are those that the write was for, sorted.
	Clusters []string `json:"clusters"`
	// Warnings are what may not be as it was meant.
	Warnings []string `json:"warnings,omitempty"`
}

// write makes a change of deltas and clusters: it is rendered and checked, made
// durable, and served, or nothing happens. The plan is made while nobody else writes.
func (f *Fleet) write(ctx context.Context, w Write, kind ChangeKind, devise func(v *View) (plan, error)) (*Result, error) {
	var result *Result
	err := f.inTurn(ctx, func() (err error) {
		result, err = f.tryWrite(ctx, w, kind, devise)
		return err
	})
	f.metrics.wrote(w.DryRun, err)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// inTurn has one try to write after the other, and again where another server's
// change came before. What fails otherwise must not have been decided on an old log.
func (f *Fleet) inTurn(ctx context.Context, try func() error) error {
	if f.cfg.ReadOnly {
		return ErrReadOnly
	}
	defer f.metrics.turn(&f.mu)()
	for tries := 1; ; tries++ {
		if f.head.behind {
			if err := f.catchUp(ctx); err != nil {
				return err
			}
		}
		before := f.head.generation
		err := try()
		if f.head.generation != before || errors.Is(err, ErrStore) {
			return err
		}
		moved, behind := f.upToDate(ctx)
		overtaken := errors.Is(err, errOvertaken)
		switch {
		case ctx.Err() != nil:
			return err
		case moved:
			// What another server wrote may change everything.
		case behind != nil && (err == nil || overtaken):
			return behind
		case !overtaken || tries == patience:
			return err
		}
	}
}

// patience is how often a change is tried that conflicts with nothing that can be
// seen in the log.
const patience = 5

var errOvertaken = errors.New("another change came before")

func (f *Fleet) tryWrite(ctx context.Context, w Write, kind ChangeKind, devise func(v *View) (plan, error)) (*Result, error) {
	v, err := f.View()
	if err != nil {
		return nil, err
	}
	if v.generation != f.head.generation {
		return nil, fmt.Errorf("fleet: %w for writes: the change log is at generation %d, and what went live there cannot be served here", ErrNotReady, f.head.generation)
	}
	p, err := devise(v)
	if err != nil {
		return nil, err
	}
	p.changes = slices.DeleteFunc(p.changes, DeltaChange.isNone)
	next, names, warnings, err := v.after(ctx, &p)
	if err == nil {
		err = w.inScope(v, next, names, p)
	}
	if err != nil {
		return nil, err
	}
	result, all, err := v.resultOf(next, names)
	if err == nil {
		err = w.guarded(kind, v, next, all)
	}
	if err != nil {
		return nil, err
	}
	result.Warnings, result.DryRun = slices.Concat(p.warnings, warnings), w.DryRun
	if w.DryRun || len(p.changes)+len(p.records)+len(p.tokens)+len(p.pins) == 0 {
		return result, nil
	}
	c := &Change{
		At: f.now(), Kind: kind, Actor: w.Actor, Reason: cmp.Or(w.Reason, p.reason()), Holder: w.holder,
		Deltas: p.changes, Records: p.records, Tokens: p.tokens, Pins: p.pins, Clusters: result.Clusters,
	}
	c.sort()
	if err := f.append(ctx, c); err != nil {
		return nil, err
	}
	next.generation, result.Generation = c.Generation, c.Generation
	f.publish(next)
	return result, nil
}

// guarded returns a *GuardError where a write takes away more than a guard allows, and
// that was not confirmed. To decommission a cluster is to confirm it.
func (w Write) guarded(kind ChangeKind, v, next *View, all []memberEffect) error {
	if kind == Decommissioned || kind == Purged {
		return nil
	}
	for _, guard := range v.guards(all) {
		if len(guard.check(all, impactOf(all), v.inputs)) == 0 {
			continue
		}
		impact, violations, err := weigh(guard, v, next)
		if err != nil {
			return err
		}
		if impact.seal(releaseKey{}, nil); impact.Digest == w.Confirm {
			return nil
		}
		return &GuardError{Impact: impact, Violations: violations}
	}
	return nil
}

// guards are those of the live release, and of what clusters are on that a write
// changes something for: the live one may have loosened its guard while they were pinned.
func (v *View) guards(all []memberEffect) []Guard {
	guards := []Guard{v.base.repo.Guard()}
	for _, e := range all {
		if m := v.named(e.cluster); m != nil && m.base != v.base && !slices.Contains(guards, m.base.repo.Guard()) {
			guards = append(guards, m.base.repo.Guard())
		}
	}
	return guards
}
