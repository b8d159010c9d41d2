package fleet

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
)

// OwnActor is who the change log names where Tributary itself makes a change.
const OwnActor = "tributary"

// withdrawExpired withdraws each delta when its time has come, until ctx ends.
func (f *Fleet) withdrawExpired(ctx context.Context) {
	for {
		if v := f.current.Load(); v != nil {
			f.withdraw(ctx, v)
		}
		select {
		case <-ctx.Done():
			return
		case <-f.written: // There may be other deltas, or those overdue can go now.
		case <-time.After(f.untilExpiry()):
		}
	}
}

// untilExpiry is how long it is until the next delta expires. Clocks may be set,
// so that it is not believed for long.
func (f *Fleet) untilExpiry() time.Duration {
	wait := time.Minute
	f.mu.Lock()
	deltas, pins := f.head.deltas, f.head.pins
	f.mu.Unlock()
	for _, p := range pins.order {
		if p.ExpiresAt != nil && !p.expired(f.cfg.Now()) {
			wait = min(wait, p.ExpiresAt.Sub(f.cfg.Now()))
		}
	}
	for _, d := range deltas.expiring {
		if !d.expired(f.cfg.Now()) {
			wait = min(wait, d.ExpiresAt.Sub(f.cfg.Now()))
		}
	}
	return wait
}

// withdraw takes away the deltas of a view that have expired, each as a change of
// its own. One without which what is left could not be served stays in force.
func (f *Fleet) withdraw(ctx context.Context, v *View) {
	overdue := f.unpinExpired(ctx, v)
	for _, d := range v.deltas.expiring {
		if !d.expired(f.cfg.Now()) {
			continue
		}
		w := Write{Actor: OwnActor, Reason: "expired at " + d.ExpiresAt.UTC().Format(time.RFC3339), holder: f.holder()}
		_, err := f.write(ctx, w, Withdrawn, func(now *View) (plan, error) {
			return plan{changes: []DeltaChange{now.dropExpired(d.ID(), f.cfg.Now())}}, nil
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			overdue[d.ID()] = err.Error()
		}
	}
	f.tellOverdue(overdue)
}

// unpinExpired takes away pins whose time has come, and returns why others stay, by
// pin/NAME.
func (f *Fleet) unpinExpired(ctx context.Context, v *View) map[string]string {
	overdue := map[string]string{}
	for _, p := range v.pins.list() {
		if !p.expired(f.cfg.Now()) {
			continue
		}
		w := Write{Actor: OwnActor, Reason: "expired at " + p.ExpiresAt.UTC().Format(time.RFC3339), holder: f.holder()}
		_, err := f.write(ctx, w, Withdrawn, func(now *View) (plan, error) {
			if p := now.pins.byName[p.Name]; p != nil && p.expired(f.cfg.Now()) {
				return plan{pins: []PinChange{{Pin: p.Name, Before: p}}}, nil
			}
			return plan{}, nil
		})
		if err != nil && ctx.Err() == nil {
			overdue["pin/"+p.Name] = err.Error()
		}
	}
	return overdue
}

// dropExpired is the change that takes a delta away, unless it was given another
// time meanwhile.
func (v *View) dropExpired(id string, now time.Time) DeltaChange {
	d := v.deltas.byID.get(id)
	if d != nil && !d.expired(now) {
		return DeltaChange{Delta: id, Before: d, After: d}
	}
	return DeltaChange{Delta: id, Before: d}
}

// tellOverdue notes the deltas and pins that should be gone, and tells of each once.
func (f *Fleet) tellOverdue(overdue map[string]string) {
	before := f.Status().Overdue
	if maps.Equal(before, overdue) {
		return
	}
	for id, why := range overdue {
		if before[id] != why {
			f.log.Error("what has expired stays in force", "of", id, "err", strings.ReplaceAll(why, "\n", "; "))
		}
	}
	f.note(func(s *Status) { s.Overdue = overdue })
	f.metrics.overdue.Set(float64(len(overdue)))
}

// prune drops entries of the change log that are older than the retention.
func (f *Fleet) prune(ctx context.Context) {
	if f.cfg.Store == nil {
		return
	}
	for ctx.Err() == nil {
		var before time.Time // Only snapshots that nobody needs any more.
		if f.cfg.Retention > 0 {
			before = f.now().Add(-f.cfg.Retention)
		}
		if dropped, err := f.cfg.Store.Prune(ctx, before); err != nil && ctx.Err() == nil {
			f.log.Error("change log is not pruned", "err", err)
		} else if dropped > 0 {
			f.log.Info("change log pruned", "entries", dropped, "before", fmt.Sprint(before))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Hour):
		}
	}
}
