// Package controller runs a fleet: it follows the source and the change log, decides, and
// publishes what is served.
//
//	c := controller.New(controller.Config{Source: source, Renderer: renderer, Store: store, Archive: archive})
//	go c.Run(ctx)
//	v, err := c.View()                                    // what is served now; a poll needs no more
//	result, err := c.PatchObject(ctx, write, "edge-1", name, patch)
//
// It composes the pure packages around fleet: rollout decides where clusters should be, view renders
// it, impact compares it with what is served, edit and credential work out what a write means, and
// polls knows which cluster polled what.
//
// A change goes one way, whatever it is about: mutate, render, check, lock, commit. Readers never wait, and
// writers only while another one appends to the log and publishes the view: a change is worked out before
// the lock is taken, and again if another one came before. The function writer.change is that way. Several
// servers may run on one log: one of them leads, which means that it follows the source and makes the
// changes that nobody asked for, and all of them serve and take writes.
package controller

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller/lock"
	"github.com/tributary-gitops/tributary/fleet/controller/metrics"
	"github.com/tributary-gitops/tributary/fleet/controller/position"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/fleet/polls"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// Config is what a controller is made of.
type Config struct {
	Source   fleet.Source
	Renderer fleet.Renderer
	// Store is the change log, and Archive packs the snapshots that it keeps. Without a Store
	// everything is forgotten when the process ends.
	Store   fleet.Store
	Archive fleet.Archive
	// Retention is how long entries of the change log are kept at least; 0 keeps them for ever.
	Retention time.Duration
	// ReadOnly makes the controller follow the change log without ever writing to it. It needs no
	// Source then.
	ReadOnly bool
	// Interval is how often the source is looked at; 0 means a minute.
	Interval time.Duration
	// Timeout limits one look at the source; 0 means DefaultTimeout.
	Timeout time.Duration
	// ReleaseTimeout limits the evaluation of one revision; 0 means DefaultReleaseTimeout.
	ReleaseTimeout time.Duration
	// SlowAfter is how long a change may take before it is reported; 0 means five seconds.
	SlowAfter time.Duration
	// Logger may be nil.
	Logger *slog.Logger
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// DefaultTimeout is enough to fetch a large repository over a slow line.
const DefaultTimeout = 5 * time.Minute

// DefaultReleaseTimeout is enough to compile and render the largest fleet on a slow machine.
const DefaultReleaseTimeout = 10 * time.Minute

// Controller runs one fleet. Its methods may be called from many goroutines.
type Controller struct {
	*writer
	releaser releaser
	look     chan struct{} // of capacity 1: several requests for a look are one
	leader   *leader
}

// Status describes a server, beside what it serves.
type Status struct {
	// Source names the source, without credentials.
	Source string
	// LookedAt is when the source last answered; zero if it never has.
	LookedAt time.Time
	// SourceError is why the last look at the source got no answer; nil if it got one.
	SourceError error
	// Failed is the newest revision, if it has a fault and is not served; else nil.
	Failed *fleet.Release
	// Held is the newest revision, if it waits for a decision; else nil.
	Held *fleet.Release
	// Overdue says of deltas and pins that have expired why they stay in force: without them the
	// rest could not be served, or that would do more than the guard allows. The keys are IDs of
	// deltas, and pin/NAME.
	Overdue map[string]string
	// Leading reports whether this server follows the source. A server that does not knows only
	// what the leader put into the change log.
	Leading bool
}

// New returns a controller that serves nothing until it is Run.
func New(cfg Config) *Controller {
	if cfg.Interval == 0 {
		cfg.Interval = time.Minute
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.ReleaseTimeout == 0 {
		cfg.ReleaseTimeout = DefaultReleaseTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var store fleet.PollStore
	if cfg.Store != nil {
		store = cfg.Store
	}
	w := &writer{
		cfg: cfg, log: cfg.Logger, id: rand.Text(), polls: polls.New(store), published: make(chan struct{}, 1),
		lock: lock.New(cmp.Or(cfg.SlowAfter, 5*time.Second)), catching: semaphore.NewWeighted(1),
	}
	w.at.Store(&position.Position{State: fleet.NewState(&fleet.LogState{})})
	w.metrics = metrics.New(cfg.Registerer, w.served, &w.renders)
	if cfg.Source != nil {
		w.status.update(func(s *Status) { s.Source = cfg.Source.String() })
	}
	c := &Controller{writer: w, releaser: releaser{w}, look: make(chan struct{}, 1)}
	c.leader = &leader{
		writer: w, controller: c, look: c.look,
		logChanged: make(chan struct{}, 1), lookRequested: make(chan struct{}, 1), candidates: make(chan fleet.ReleaseRef, 1),
	}
	return c
}

// View returns what is served now. Until the first release is live it returns an ErrNotReady. The
// reason in it is meant for every caller, so that it never quotes the source or a fault: those are in
// Status.
func (c *Controller) View() (*view.View, error) { return c.view() }

func (w *writer) view() (*view.View, error) {
	if v := w.served(); v != nil {
		return v, nil
	}
	return nil, w.whyNotReady()
}

// whyNotReady returns the error of a server that serves nothing yet.
func (w *writer) whyNotReady() error {
	reason, status := w.at.Load().WhyNotServed(), w.status.get()
	switch {
	case reason != "":
	case status.SourceError != nil:
		reason = "the source does not answer"
	case !status.Leading:
		reason = "no release is live, and this server does not follow the source"
	default:
		reason = "the first revision is being fetched and rendered"
	}
	return fmt.Errorf("fleet: %w: %s", fleet.ErrNotReady, reason)
}

// Status returns the present status.
func (c *Controller) Status() Status { return c.status.get() }

// Look asks for a look at the source now. It does not wait.
func (c *Controller) Look() { signal(c.look) }

// Ping returns an error if the change log cannot be reached, or no longer has what is served.
func (c *Controller) Ping(ctx context.Context) error {
	_, err := c.logEnd(ctx, c.at.Load())
	return err
}

// LogLost returns an error once the change log no longer has what is served, or nil.
func (c *Controller) LogLost() error { return c.logLost() }

// SlowChange is a change that somebody has worked on for long.
type SlowChange = lock.Report

// Slow returns the changes that somebody has worked on for long, oldest first.
func (c *Controller) Slow() []SlowChange { return c.lock.Slow() }

// reportSlow logs and counts a change that takes long.
func (w *writer) reportSlow(r lock.Report) {
	w.metrics.CountSlow(r.Stage)
	w.log.Warn("change takes long", "actor", r.Actor, "change", r.What, "stage", string(r.Stage), "stage_since", r.Entered, "since", r.Since,
		"took", time.Since(r.Since).Round(time.Millisecond))
}

// Changed returns a channel that is closed once there is another view or, where nothing is served
// yet, another change in the log. Take it before looking at either.
func (c *Controller) Changed() <-chan struct{} { return c.changed.wait() }

// Tokens returns the tokens of the log.
func (c *Controller) Tokens() *credential.Set { return c.tokens.Set() }

// RecordPoll records that a cluster polled one of its sets, by its name or dns, and was answered at a
// generation. By names who polled by hand; it is empty for Flux Operator.
func (c *Controller) RecordPoll(m *view.Member, name, set string, generation int64, agent, by string) {
	p := fleet.Poll{Cluster: m.Cluster.Name, Set: set, At: c.cfg.Now(), Generation: generation, Agent: agent, By: by}
	if name != m.Cluster.Name {
		p.DNS = name
	}
	if m.State != fleet.ClusterDecommissioned { // a decommissioned cluster gets no release
		p.Release = m.Release().ID()
	}
	c.polls.Record(p)
}

// RecordListPoll records that the list of the clusters that match a selector is polled. It is an
// ErrTooLarge or ErrStore if the list cannot be remembered. Do not answer the poll then: the guard could
// not tell what a later change removes from the list.
func (c *Controller) RecordListPoll(ctx context.Context, selector labels.Selector, generation int64, agent string) error {
	record := func(ctx context.Context) error {
		return c.polls.RecordList(ctx, selector, generation, c.cfg.Now(), agent)
	}
	return withStoreTimeout(ctx, record)
}

// RecordUse records that a token is used.
func (c *Controller) RecordUse(t *fleet.Token) { c.polls.Touch(t.ID, c.cfg.Now()) }

// peopleTimeout is how long somebody waits for what an answer can do without.
const peopleTimeout = 2 * time.Second

// Polls returns the last polls of clusters as polls.Tracker.Last does. Where the store is away, it
// is what this server knows.
func (c *Controller) Polls(ctx context.Context, clusters ...string) map[string][]fleet.Poll {
	last, err := c.lastPolls(ctx, clusters)
	if err != nil {
		c.log.Warn("last polls of other servers are unknown", "err", err)
	}
	return last
}

func (w *writer) lastPolls(ctx context.Context, clusters []string) (map[string][]fleet.Poll, error) {
	return read(ctx, peopleTimeout, w.polls.Last, clusters)
}

// TokenUses returns when tokens were last used, by ID, as far as it is known here.
func (c *Controller) TokenUses(ctx context.Context) map[string]time.Time {
	var uses map[string]time.Time
	err := withTimeout(ctx, peopleTimeout, func(ctx context.Context) (err error) {
		uses, err = c.polls.Uses(ctx)
		return err
	})
	if err != nil {
		c.log.Warn("last uses of tokens at other servers are unknown", "err", err)
	}
	return uses
}

// History returns entries of the change log, newest first.
func (c *Controller) History(ctx context.Context, q fleet.ChangeQuery) ([]fleet.Change, error) {
	if c.cfg.Store == nil {
		return nil, nil
	}
	return read(ctx, storeTimeout, c.cfg.Store.Changes, q)
}

// statusBoard guards a Status.
type statusBoard struct {
	mu     sync.Mutex
	status Status
}

func (b *statusBoard) get() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

func (b *statusBoard) update(change func(s *Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
}

// setOverdue replaces the overdue deltas and pins, and returns those whose reason is new.
func (b *statusBoard) setOverdue(overdue map[string]string) map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	added := maps.Clone(overdue)
	maps.DeleteFunc(added, func(id, why string) bool { return b.status.Overdue[id] == why })
	b.status.Overdue = overdue
	return added
}

// broadcast wakes any number of waiting goroutines.
type broadcast struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait returns a channel that is closed by the next notify.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

func (b *broadcast) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

// signal sends to a channel of capacity 1, unless there is something in it.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// oneLine returns the text of an error on one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
