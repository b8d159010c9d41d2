package lock

import (
	"context"
	"slices"
	"time"
)

// Stage says what a worker is doing.
type Stage string

// The stages of work. Only Locked keeps all others waiting.
const (
	Rendering Stage = "rendering"
	Waiting   Stage = "waiting"
	Locked    Stage = "locked"
)

// Stages are all stages.
var Stages = []Stage{Rendering, Waiting, Locked}

// Report is work under way: an actor works on something since a time, and has entered a stage of it at
// another.
type Report struct {
	Actor, What string
	Since       time.Time
	Stage       Stage
	Entered     time.Time
}

// entry is work under way, and how long after it began it is reported.
type entry struct {
	report Report
	due    time.Duration
}

func (w *Work) enter(s Stage) {
	w.lock.mu.Lock()
	defer w.lock.mu.Unlock()
	if e := w.lock.working[w]; e != nil {
		e.report.Stage, e.report.Entered = s, time.Now()
	}
}

// Slow returns the work that takes long, oldest first.
func (l *Lock) Slow() []Report { return l.reports(func(*entry) bool { return true }) }

// reports returns the work that takes long and that include is true for, oldest first.
func (l *Lock) reports(include func(*entry) bool) (found []Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.working {
		if time.Since(e.report.Since) >= l.patience && include(e) {
			found = append(found, e.report)
		}
	}
	slices.SortFunc(found, func(a, b Report) int { return a.Since.Compare(b.Since) })
	return found
}

// Watch calls slow for work that takes longer than the lock's patience, and again each time that it has
// taken twice as long, until ctx ends.
func (l *Lock) Watch(ctx context.Context, slow func(Report)) {
	ticker := time.NewTicker(l.patience / 5)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		due := func(e *entry) bool {
			if time.Since(e.report.Since) < e.due {
				return false
			}
			e.due *= 2
			return true
		}
		for _, r := range l.reports(due) {
			slow(r)
		}
	}
}
