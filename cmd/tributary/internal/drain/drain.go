// Package drain waits until a decommissioned cluster has polled its empty input sets, so
// that its Flux has deleted what it created.
//
//	w := drain.Wait{Look: look, Report: report, Timeout: time.Hour}
//	polled, err := w.Do(ctx)
package drain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

// Wait is the wait for one cluster.
type Wait struct {
	Look    func(context.Context) (api.Cluster, error) // asks the server for the cluster
	Report  func(format string, args ...any)           // called with each reason to wait, once
	Timeout time.Duration
}

// pollDelay is how long a poll of one server takes to become known to all of them. Until
// then the absence of polls means nothing.
const pollDelay = 4 * time.Second

// interval between two looks. Clusters poll every few minutes, so this is short enough.
const interval = 2 * time.Second

// Do waits until the cluster has polled every set that it ever polled since it was
// decommissioned, and returns how many sets that were. 0 means that it never polled.
func (w Wait) Do(ctx context.Context) (polled int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, w.Timeout, errTimeout)
	defer cancel()
	reported, last, start := "", "the server has not answered", time.Now()
	for {
		cluster, err := w.Look(ctx)
		waiting := ""
		switch _, retryable := client.Retryable(err); {
		case ctx.Err() != nil: // handled below
		case retryable:
			waiting = err.Error()
		case err != nil:
			return 0, err
		case cluster.Decommissioned == nil:
			return 0, fmt.Errorf("cluster %q: is no longer decommissioned; it may have been purged and registered again", cluster.Name)
		default:
			ever, left := polledSets(cluster)
			if len(left) > 0 {
				waiting = fmt.Sprintf("waiting for cluster %q to poll %s", cluster.Name, strings.Join(left, ", "))
			} else if time.Since(start) >= pollDelay {
				return ever, nil
			} else {
				last = fmt.Sprintf("cluster %q has polled all that it ever polled, but another server may not have reported a later poll yet, which takes up to %s", cluster.Name, pollDelay)
			}
		}
		if waiting != "" {
			last = waiting
		}
		if waiting != "" && waiting != reported {
			w.Report("%s", waiting)
			reported = waiting
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errTimeout) {
				return 0, fmt.Errorf("not within %s: %s\nthe cluster stays decommissioned; run this command again to keep waiting", w.Timeout, last)
			}
			return 0, ctx.Err()
		case <-time.After(interval):
		}
	}
}

var errTimeout = errors.New("timeout")

// polledSets counts the sets that the cluster ever polled, and names those that it has
// not polled since it was decommissioned. Sets that the fleet repo no longer has do not
// count, because their polls are not answered.
func polledSets(c api.Cluster) (ever int, left []string) {
	for _, p := range c.Polls {
		if _, served := c.Inputs[p.Set]; !served {
			continue
		}
		ever++
		if p.Generation < c.Decommissioned.Generation {
			left = append(left, p.Set)
		}
	}
	slices.Sort(left)
	return ever, left
}
