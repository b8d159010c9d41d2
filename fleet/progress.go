package fleet

import (
	"context"
	"fmt"
	"time"
)

// progress is how far a rollout has come.
type progress struct {
	// through tells whether the next wave may be reached.
	through bool
	status  *RolloutStatus
}

// progress looks at who of the present wave has polled, and whether its time is over.
func (f *Fleet) progress(ctx context.Context, v *View) progress {
	r := v.rollout()
	p := progress{status: &RolloutStatus{Phase: Progressing, Since: r.Since, Generation: r.Generation}}
	for i, w := range r.Waves {
		s := WaveStatus{Name: w.Name, Reached: i < r.Reached, Clusters: len(w.Clusters), Manual: w.Manual}
		if w.Soak > 0 {
			s.Soak = w.Soak.String()
		}
		p.status.Waves = append(p.status.Waves, s)
	}
	have := v.have(r)
	polled := f.polledRelease(ctx, have, releaseID(r.Release.Revision), r.Generation)
	p.status.Waves[r.Reached-1].Polled = polled
	why, waiting := r.waitsFor(len(have), polled, f.cfg.Now())
	switch {
	case r.Paused != "":
		p.status.Phase, p.status.Reason = Paused, r.Paused
	case waiting:
		p.status.Phase, p.status.Reason = Waiting, why
	default:
		p.status.Reason, p.through = why, why == ""
	}
	return p
}

// have are the clusters of the present wave that have the release. Who is pinned, or
// whom it is not good for, has another.
func (v *View) have(r *Rollout) []*Member {
	var have []*Member
	for _, name := range r.wave().Clusters {
		if m := v.named(name); m != nil && m.State == Active && m.lost == nil && m.base.key() == r.Release.key() {
			have = append(have, m)
		}
	}
	return have
}

// waitsFor says what has to be before the next wave; "" for nothing. Waiting tells
// whether it is for a person.
func (r *Rollout) waitsFor(have, polled int, now time.Time) (why string, waiting bool) {
	w := r.wave()
	if r.Passed {
		return "", false
	}
	share := w.Polled
	if share == 0 {
		share = DefaultPolled
	}
	needed := (have*share + 99) / 100
	switch soaked := r.Since.Add(w.Soak); {
	case have == 0:
		return "no cluster of the wave has the release; skip the wave, or abort", true
	case polled < needed:
		return fmt.Sprintf("%d of %d clusters have polled it, and %d must have", polled, have, needed), false
	case now.Before(soaked):
		return "it soaks until " + soaked.UTC().Format(time.RFC3339), false
	case w.Manual:
		return "somebody has to resume it", true
	}
	return "", false
}
