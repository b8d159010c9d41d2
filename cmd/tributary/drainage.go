package main

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

// drainage is the wait for a decommissioned cluster to poll its empty sets.
type drainage struct {
	ask  func(context.Context) (api.Cluster, error)
	tell func(format string, args ...any)
}

// settling is how long it takes until every server knows of the polls that another
// one answered: before that, none that is known of means nothing.
const settling = 4 * time.Second

// betweenLooks is short beside the minutes between a cluster's polls.
const betweenLooks = 2 * time.Second

// wait returns how many sets the cluster has polled, once it has polled each of
// them since it was decommissioned; 0 means that it has never polled any.
func (d drainage) wait(ctx context.Context, patience time.Duration) (polled int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errOutOfPatience)
	defer cancel()
	told, start := "", time.Now()
	for {
		cluster, err := d.ask(ctx)
		waiting := ""
		switch _, passing := client.Retryable(err); {
		case ctx.Err() != nil: // Below it is told of.
		case passing:
			waiting = err.Error()
		case err != nil:
			return 0, err
		case cluster.Decommissioned == nil:
			return 0, fmt.Errorf("cluster %q: is not decommissioned any more; has somebody purged it?", cluster.Name)
		default:
			ever, left := polledSets(cluster)
			if len(left) > 0 {
				waiting = fmt.Sprintf("waiting for cluster %q to poll %s", cluster.Name, strings.Join(left, ", "))
			} else if time.Since(start) >= settling {
				return ever, nil
			}
		}
		if waiting != "" && waiting != told {
			d.tell("%s", waiting)
			told = waiting
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errOutOfPatience) {
				return 0, fmt.Errorf("not within %s: %s\nthe cluster stays decommissioned; run this again to go on waiting", patience, told)
			}
			return 0, ctx.Err()
		case <-time.After(betweenLooks):
		}
	}
}

var errOutOfPatience = errors.New("out of patience")

// polledSets counts the sets that the cluster has ever polled, and names those that
// it has polled before it was decommissioned and not since. One that the fleet repo
// had long ago does not count: no poll of it is answered any more.
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
