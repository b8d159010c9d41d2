package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a Fleet is made of.
type Config struct {
	Source   Source
	Renderer Renderer
	// Interval is how often the source is looked at; 0 means a minute.
	Interval time.Duration
	// Timeout bounds one look, however long the source's host hangs; 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// Logger is discarded where nil.
	Logger *slog.Logger
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// DefaultTimeout is what a large repository over a slow line may take to fetch.
const DefaultTimeout = 5 * time.Minute

// Fleet is the live fleet: it follows its source and publishes views. One
// goroutine, Run, writes; any number read, and none ever waits.
type Fleet struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	look    chan struct{}        // of capacity 1: looks asked for in a burst are one
	current atomic.Pointer[View] // nil until the first good release

	mu     sync.Mutex // guards status
	status Status
}

// Status is what a person needs to know of the fleet beside what it serves.
type Status struct {
	// Source names the source, without credentials.
	Source string
	// LookedAt is when the source last answered; zero if it never has.
	LookedAt time.Time
	// SourceError is why the last look at the source gave no answer; nil if it did.
	SourceError error
	// Failed is the last revision that the source was seen at, where that has
	// a fault; nil where it is what is served.
	Failed *Release
}

// New returns a fleet that serves nothing until it is Run.
func New(cfg Config) *Fleet {
	if cfg.Interval == 0 {
		cfg.Interval = time.Minute
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Fleet{
		cfg: cfg, log: cfg.Logger, metrics: newMetrics(cfg.Registerer),
		look:   make(chan struct{}, 1),
		status: Status{Source: cfg.Source.String()},
	}
}

// View returns what is served now, or an ErrNotReady that says why nothing is.
func (f *Fleet) View() (*View, error) {
	if v := f.current.Load(); v != nil {
		return v, nil
	}
	status := f.Status()
	switch {
	case status.Failed != nil:
		return nil, fmt.Errorf("fleet: %w: revision %s has faults: %d",
			ErrNotReady, status.Failed.Revision, len(status.Failed.Problems.Faults()))
	case status.SourceError != nil:
		return nil, fmt.Errorf("fleet: %w: source: %w", ErrNotReady, status.SourceError)
	}
	return nil, fmt.Errorf("fleet: %w: the first revision is being fetched and rendered", ErrNotReady)
}

// Status returns the present one.
func (f *Fleet) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// Look asks Run to look at the source now. It does not wait.
func (f *Fleet) Look() {
	select {
	case f.look <- struct{}{}:
	default: // one is asked for already
	}
}

// Run follows the source until ctx ends. It returns nil then, and no error of
// the source ends it.
func (f *Fleet) Run(ctx context.Context) error {
	var watch sync.WaitGroup
	watch.Go(func() { f.watch(ctx) })
	defer watch.Wait()

	known := "" // the revision that was last looked at, good or not
	for failures := 0; ; {
		revision, err := f.follow(ctx, known)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			failures++
			f.log.Error("source cannot be read", "source", f.status.Source, "err", err)
		default:
			known, failures = revision, 0
		}
		f.wait(ctx, pause(f.cfg.Interval, failures), retryAfter(err))
	}
}

// wait returns when it is time to look again: when that was asked for, or after
// a pause. A host that wants to be left alone is, whoever asks.
func (f *Fleet) wait(ctx context.Context, pause, alone time.Duration) {
	if alone > 0 {
		alone += time.Duration(rand.Float64() * 0.1 * float64(alone))
		select {
		case <-ctx.Done():
			return
		case <-time.After(alone):
		}
		pause -= alone
	}
	select {
	case <-ctx.Done():
	case <-f.look:
		f.gather(ctx)
	case <-time.After(pause):
	}
}

// burst is how long a look that was asked for waits for more of the same: one
// push can cause a webhook for each branch and tag, and a registry tells of each
// layer. It is a small part of the second in which a push is to be served.
const burst = 100 * time.Millisecond

// gather lets a burst of requests for a look become one. One that comes after it
// returns, while the source is being looked at, leads to another look.
func (f *Fleet) gather(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(burst):
	}
	select {
	case <-f.look:
	default: // there was but one
	}
}

// watch lets the source tell of changes. Where it cannot, polling goes on and
// watching is tried again: what it lacks may be given back.
func (f *Fleet) watch(ctx context.Context) {
	for failures := 1; ; failures++ {
		err := f.cfg.Source.Watch(ctx, f.Look)
		if err == nil || ctx.Err() != nil {
			return
		}
		f.log.Warn("source is not watched, only polled", "err", err, "interval", f.cfg.Interval)
		select {
		case <-ctx.Done():
		case <-time.After(pause(f.cfg.Interval, failures)):
		}
	}
}

// pause is the time until the next look: the interval, or after failures a
// second that doubles up to it. Both have a tenth of jitter either way, so that
// servers that were started together do not look together.
func pause(interval time.Duration, failures int) time.Duration {
	wait := interval
	if failures > 0 {
		wait = min(interval, time.Second<<min(failures-1, 16))
	}
	return wait + time.Duration((rand.Float64()-0.5)*0.2*float64(wait))
}

// follow looks at the source once and releases what is new. It returns the
// revision that the source is at.
func (f *Fleet) follow(ctx context.Context, known string) (string, error) {
	start := time.Now()
	snapshot, err := f.fetch(ctx, known)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		err = nil // the source answered; what it holds is the fault
	}
	f.metrics.fetched(time.Since(start), err)
	f.looked(err)
	switch {
	case err != nil:
		return "", err
	case refused != nil:
		f.fail(refused.Revision, Problems{refused.Problem})
		return "", nil // asked for anew: it has no snapshot to be compared with
	case snapshot == nil:
		return known, nil
	}
	return snapshot.Revision, f.release(ctx, snapshot)
}

// looked notes how a look at the source went.
func (f *Fleet) looked(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.SourceError = err
	if err == nil {
		f.status.LookedAt = f.cfg.Now()
	}
}

// fetch asks the source. What it makes of hostile bytes must not end the process,
// and with it the polls that are answered meanwhile.
func (f *Fleet) fetch(ctx context.Context, known string) (s *Snapshot, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	defer func() {
		if reason := recover(); reason != nil {
			f.log.Error("panic", "cause", reason, "stack", string(debug.Stack()))
			s, err = nil, fmt.Errorf("the source holds what Tributary panics on: %v; please report it, with the log", reason)
		}
	}()
	return f.cfg.Source.Fetch(ctx, known)
}

// release renders a snapshot and, where it has no fault, puts it live. All
// fallible work is done before the swap, so a fault changes nothing.
func (f *Fleet) release(ctx context.Context, s *Snapshot) error {
	if v := f.current.Load(); v != nil && v.release.Revision == s.Revision {
		f.setFailed(nil) // the source went back to what is served
		return nil
	}
	start := time.Now()
	view, problems, err := Prepare(ctx, f.cfg.Renderer, s, f.cfg.Now(), nil)
	if err != nil {
		return err
	}
	f.metrics.rendered(time.Since(start), view != nil)
	for _, p := range problems.Warnings() {
		f.log.Warn("fleet repo", "revision", s.Revision, "problem", p.String())
	}
	if view == nil {
		f.fail(s.Revision, problems)
		return nil
	}
	f.current.Store(view)
	f.setFailed(nil)
	f.metrics.live(view.release)
	f.log.Info("release is live", "revision", s.Revision, "clusters", view.release.Clusters,
		"took", time.Since(start).Round(time.Millisecond))
	return nil
}

// fail notes a revision that has faults, and tells of them once.
func (f *Fleet) fail(revision string, problems Problems) {
	if old := f.Status().Failed; old != nil && old.Revision == revision && slices.Equal(old.Problems, problems) {
		return
	}
	f.setFailed(&Release{
		ID: releaseID(revision), Revision: revision, State: Failed, At: f.cfg.Now(), Problems: problems,
	})
	f.metrics.failures.WithLabelValues("render").Inc()
	for _, p := range problems.Faults() {
		f.log.Error("fleet repo", "revision", revision, "problem", p.String())
	}
	f.log.Error("release failed", "revision", revision, "faults", len(problems.Faults()))
}

func (f *Fleet) setFailed(r *Release) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Failed = r
	f.metrics.failed(r != nil)
}
