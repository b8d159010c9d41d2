package polls

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

// Lists of clusters are remembered for as long as somebody may still hold one: a management cluster
// that was switched off for the weekend must not come back to a list that shrank unseen.
const (
	// ListMemory is how long the list of a selector is remembered after its last poll.
	ListMemory = 30 * 24 * time.Hour
	// MaxLists is how many lists are remembered, and MaxSelector how long their selectors may be
	// in bytes. A list that would not be remembered is not answered.
	MaxLists    = 256
	MaxSelector = 1024
)

// listsOf is the cluster of the polls of lists. No cluster has that name.
const listsOf = ""

// RecordList records that the list of the clusters that match a selector was polled. The first poll of
// a list is saved at once: a change must not take clusters out of it unseen because the server ended,
// or another server made the change, before Save. It is an ErrTooLarge where the list cannot be
// remembered, and an error of the store where it cannot be saved; do not answer the poll then.
func (t *Tracker) RecordList(ctx context.Context, selector labels.Selector, generation int64, now time.Time, agent string) error {
	p := fleet.Poll{Cluster: listsOf, Set: selector.String(), Generation: generation, At: now, Agent: agent}
	if !t.recentLists(now)[p.Set] {
		if err := t.addList(ctx, p); err != nil {
			return err
		}
	}
	t.Record(p)
	return nil
}

// addList saves the first poll of a list.
func (t *Tracker) addList(ctx context.Context, p fleet.Poll) error {
	if len(p.Set) > MaxSelector {
		return fmt.Errorf("selector of %d bytes: %w: it may have %d, so that it can be remembered", len(p.Set), fleet.ErrTooLarge, MaxSelector)
	}
	if err := t.MergeSaved(ctx, []string{listsOf}); err != nil { // another server may know it
		return err
	}
	recent := t.recentLists(p.At)
	if recent[p.Set] {
		return nil
	}
	if n := len(recent); n >= MaxLists {
		return fmt.Errorf("selector %q: %w: %d lists of clusters are polled already, and no more are remembered; use one selector in more places, or wait until one that nobody polls is forgotten after %d days",
			p.Set, fleet.ErrTooLarge, n, ListMemory/(24*time.Hour))
	}
	if t.store == nil {
		return nil
	}
	return t.store.SavePolls(ctx, []fleet.Poll{asKept(p)}, nil)
}

// recentLists returns the selectors that were polled here, or were taken up from the store, and that
// are not forgotten.
func (t *Tracker) recentLists(now time.Time) map[string]bool {
	recent := map[string]bool{}
	load[clusterPolls](&t.clusters, listsOf).sets.Range(func(key, s any) bool {
		if p := s.(*setPoll).last.Load(); p != nil && now.Sub(p.At) < ListMemory {
			recent[key.(setKey).set] = true
		}
		return true
	})
	return recent
}

// Lists returns the selectors of the lists of clusters that are remembered, by any server, sorted.
func (t *Tracker) Lists(ctx context.Context, now time.Time) ([]labels.Selector, error) {
	recent := t.recentLists(now)
	if t.store != nil {
		saved, err := t.store.Polls(ctx, fleet.PollQuery{Clusters: []string{listsOf}})
		if err != nil {
			return nil, err
		}
		for _, p := range saved {
			if now.Sub(p.At) < ListMemory {
				recent[p.Set] = true
			}
		}
	}
	var all []labels.Selector
	for _, text := range slices.Sorted(maps.Keys(recent)) {
		selector, err := labels.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("selector %q of a list: %w", text, err) // it was parsed before it was recorded
		}
		all = append(all, selector)
	}
	return all, nil
}

// LastOwners returns by dns the cluster that was served last when Flux Operator polled by that name,
// at any server. Names that it never polled by are left out.
func (t *Tracker) LastOwners(ctx context.Context, names []string) (map[string]string, error) {
	last := make(map[string]fleet.Poll, len(names))
	for _, dns := range names {
		last[dns] = fleet.Poll{}
	}
	add := func(p fleet.Poll) {
		if known, wanted := last[p.DNS]; wanted && !p.IsByHand() && !p.At.Before(known.At) {
			last[p.DNS] = p
		}
	}
	if t.store != nil {
		saved, err := t.store.Polls(ctx, fleet.PollQuery{Names: names})
		if err != nil {
			return nil, err
		}
		for _, p := range saved {
			if c, ok := t.clusters.Load(p.Cluster); !ok || c.(*clusterPolls).since <= p.Generation {
				add(p)
			}
		}
	}
	t.clusters.Range(func(_, c any) bool {
		c.(*clusterPolls).sets.Range(func(_, s any) bool {
			if p := s.(*setPoll).last.Load(); p != nil && p.DNS != "" {
				add(*p)
			}
			return true
		})
		return true
	})
	owners := make(map[string]string, len(last))
	for dns, p := range last {
		if p.Cluster != "" {
			owners[dns] = p.Cluster
		}
	}
	return owners, nil
}
