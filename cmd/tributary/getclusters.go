package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server"
)

func newGetClusters(o *getOptions) *cobra.Command {
	var selector string
	cmd := &cobra.Command{
		Use:   "clusters [NAME]",
		Short: "The fleet, or one cluster by name or dns",
		Long: `Shows each cluster with its labels, where they placed it, how many inputs it gets,
how many parts of deltas it goes without (orphans), whether it is active, orphaned or
decommissioned, and how long ago it last polled.

` + serverHelp,
		Example: `  tributary get clusters
  tributary get clusters --selector 'environment=prod,region in (eu,us)'
  tributary get clusters eu-prod-01 -o yaml

Exit status is 0, or 1 if there is no such cluster or no answer.`,
		Args: between(0, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && selector != "" {
				return errors.New("get clusters: name a cluster or select some with --selector, not both")
			}
			return o.run(cmd, func(ctx context.Context, c *server.Client, w io.Writer) error {
				if len(args) > 0 {
					return getCluster(ctx, c, w, args[0], o)
				}
				return getClusters(ctx, c, w, selector, o)
			})
		},
	}
	cmd.Flags().StringVarP(&selector, "selector", "l", "", "labels to select clusters by, as kubectl takes them")
	return cmd
}

func getCluster(ctx context.Context, c *server.Client, w io.Writer, name string, o *getOptions) error {
	cluster, err := c.Cluster(ctx, name)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, cluster)
	}
	return clusterTable(w, []server.ClusterAnswer{cluster}, time.Now())
}

func getClusters(ctx context.Context, c *server.Client, w io.Writer, selector string, o *getOptions) error {
	clusters, err := c.Clusters(ctx, selector)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, server.List[server.ClusterAnswer]{Items: clusters})
	}
	return clusterTable(w, clusters, time.Now())
}

func clusterTable(w io.Writer, clusters []server.ClusterAnswer, now time.Time) error {
	t := newTable(w, "NAME", "DNS", "LABELS", "OVERLAY", "INPUTS", "ORPHANS", "STATE", "LAST POLL")
	for _, c := range clusters {
		inputs := 0
		for _, count := range c.Inputs {
			inputs += count
		}
		t.row(c.Name, c.DNS, labelText(c.Labels), c.Placement.Overlay, fmt.Sprint(inputs), fmt.Sprint(len(c.Orphans)),
			string(c.State), age(lastPoll(c.Polls), now))
	}
	return t.end()
}

// lastPoll is when the cluster last polled any of its sets; nil for never.
func lastPoll(polls []fleet.Poll) (last *time.Time) {
	for _, p := range polls {
		if last == nil || p.At.After(*last) {
			last = &p.At
		}
	}
	return last
}

func labelText(labels map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, key+"="+labels[key])
	}
	return strings.Join(all, ",")
}
