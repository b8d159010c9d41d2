package fleet

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a Fleet is made of.
type Config struct {
	Source   Source
	Renderer Renderer
	// Store is the change log, and Archive packs the snapshots that it keeps.
	// Without a Store all is forgotten when the process ends.
	Store   Store
	Archive Archive
	// Retention is for how long entries of the change log are kept at least; 0
	// keeps them for ever.
	Retention time.Duration
	// ReadOnly has the fleet follow the change log and never write to it, nor look
	// at a source, of which it needs none.
	ReadOnly bool
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

// Fleet is the live fleet: it follows its source and its change log, and
// publishes views. One writer at a time; any number read, and none ever waits.
type Fleet struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	id      string                   // tells servers apart
	look    chan struct{}            // of capacity 1: looks asked for in a burst are one
	written chan struct{}            // of capacity 1: a view was published
	told    chan struct{}            // of capacity 1: the log may have changed
	asked   chan struct{}            // of capacity 1: whoever leads was asked to look
	coming  chan releaseKey          // of capacity 1: a release may go live soon
	ahead   ahead                    // what was made of that
	moved   bell                     // rings where something can be read that could not be before
	current atomic.Pointer[View]     // nil until the first good release
	tokens  atomic.Pointer[TokenSet] // never waits for mu, which may be held for as long as it takes to render
	marks   *tracker

	mu   sync.Mutex // held from reading what to render until the swap
	head head       // guarded by mu

	tokensMu sync.Mutex // guards tokensAt, and tokens from others who set them
	tokensAt int64      // the generation that they are of

	statusMu sync.Mutex // guards status
	status   Status
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
	// Held is the newest revision where that waits for a decision; nil where it does not.
	Held *Release
	// Overdue are the deltas and pins whose time has come and that stay in force, because
	// what is left without them could not be served, or takes away more than the guard
	// allows: why, by the ID of a delta or as pin/NAME.
	Overdue map[string]string
	// Leading is whether this server follows the source. Of another, nothing is
	// known here but what it put into the change log.
	Leading bool

	releases map[string]*Release // the live one, that of the rollout and the candidate, by ID
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
	f := &Fleet{
		cfg: cfg, log: cfg.Logger, id: rand.Text(), marks: newTracker(),
		look: make(chan struct{}, 1), written: make(chan struct{}, 1), told: make(chan struct{}, 1), asked: make(chan struct{}, 1),
		coming: make(chan releaseKey, 1),
	}
	f.metrics = newMetrics(cfg.Registerer, f.current.Load, &f.marks.renders)
	f.tokens.Store(newTokenSet(nil, f.marks))
	if cfg.Source != nil {
		f.status.Source = cfg.Source.String()
	}
	return f
}

// View returns what is served now. Until the first release is live it returns an
// ErrNotReady. The reason in it is meant for every caller, so it never quotes the
// source or a fault: those are in Status.
func (f *Fleet) View() (*View, error) {
	if v := f.current.Load(); v != nil {
		return v, nil
	}
	reason := "the first revision is being fetched and rendered"
	switch status := f.Status(); {
	case status.Failed != nil:
		reason = "the source's newest revision has faults"
	case status.Held != nil:
		reason = "the first release is held until it is approved"
	case status.SourceError != nil:
		reason = "the source does not answer"
	case !status.Leading:
		reason = "no release is live, and this server does not follow the source"
	}
	return nil, fmt.Errorf("fleet: %w: %s", ErrNotReady, reason)
}

// Status returns the present one.
func (f *Fleet) Status() Status {
	f.statusMu.Lock()
	defer f.statusMu.Unlock()
	return f.status
}

func (f *Fleet) note(change func(s *Status)) {
	f.statusMu.Lock()
	defer f.statusMu.Unlock()
	change(&f.status)
}

// Look asks Run to look at the source now. It does not wait.
func (f *Fleet) Look() { signal(f.look) }

// signal sends to a channel of capacity 1, unless there is something in it.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Ping tells whether the change log can be reached.
func (f *Fleet) Ping(ctx context.Context) error {
	if f.cfg.Store == nil {
		return nil
	}
	_, err := f.cfg.Store.Generation(ctx)
	return err
}
