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

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetClusters(o *getOptions) *cobra.Command {
	var selector string
	cmd := &cobra.Command{
		Use:   "clusters [NAME]",
		Short: "Show all clusters, or one by name or dns",
		Long: `Shows each cluster with its labels, its overlay, the number of inputs that it gets, the
number of parts of deltas that no longer apply to it (orphans), its state (active,
orphaned or decommissioned), its release, and how long ago it last polled. A cluster is
late if it has not polled for longer than it usually does. For one cluster it also shows
why it is on that release, and its polls.

` + serverHelp,
		Example: `  tributary get clusters
  tributary get clusters --selector 'environment=prod,region in (eu,us)'
  tributary get clusters eu-prod-01 -o yaml

Exit status is 0, or 1 if the cluster does not exist or the server does not answer.`,
		Args: between(0, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && selector != "" {
				return errors.New("get clusters: use a name or --selector, not both")
			}
			return o.run(cmd, func(ctx context.Context, c *client.Client, w io.Writer) error {
				if len(args) > 0 {
					return getCluster(ctx, c, w, args[0], o)
				}
				return getClusters(ctx, c, w, selector, o)
			})
		},
	}
	cmd.Flags().StringVarP(&selector, "selector", "l", "", "labels of the clusters to show, in the syntax of kubectl")
	return cmd
}

func getCluster(ctx context.Context, c *client.Client, w io.Writer, name string, o *getOptions) error {
	cluster, err := c.Cluster(ctx, name)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, cluster)
	}
	now := time.Now()
	if err := clusterTable(w, []api.Cluster{cluster}, now); err != nil {
		return err
	}
	return printCluster(w, cluster, now)
}

// printCluster prints details that do not fit in the table.
func printCluster(w io.Writer, c api.Cluster, now time.Time) error {
	fmt.Fprintf(w, "\nrelease: %s of %s\n", c.Release.ID, textfmt.Visible(c.Release.Revision))
	for _, line := range [][2]string{{"why", c.Why}, {"pin", c.Pin}} {
		if line[1] != "" {
			fmt.Fprintf(w, "%s: %s\n", line[0], textfmt.Visible(line[1]))
		}
	}
	if len(c.Polls) == 0 {
		return nil
	}
	t := table.New(w, "SET", "LAST POLL", "EVERY", "RELEASE", "GENERATION", "OPERATOR")
	for _, p := range c.Polls {
		t.Row(p.Set, textfmt.Age(&p.At, now), p.Every, p.Release, fmt.Sprint(p.Generation), p.Agent)
	}
	return t.Flush()
}

func getClusters(ctx context.Context, c *client.Client, w io.Writer, selector string, o *getOptions) error {
	clusters, err := c.Clusters(ctx, selector)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, api.List[api.Cluster]{Items: clusters})
	}
	return clusterTable(w, clusters, time.Now())
}

func clusterTable(w io.Writer, clusters []api.Cluster, now time.Time) error {
	t := table.New(w, "NAME", "DNS", "LABELS", "OVERLAY", "INPUTS", "ORPHANS", "STATE", "RELEASE", "LAST POLL")
	for _, c := range clusters {
		inputs := 0
		for _, count := range c.Inputs {
			inputs += count
		}
		t.Row(c.Name, c.DNS, labelText(c.Labels), c.Placement.Overlay, fmt.Sprint(inputs), fmt.Sprint(len(c.Orphans)),
			string(c.State), c.Release.ID, pollText(c, now))
	}
	return t.Flush()
}

// pollText returns how long ago the cluster last polled any of its sets, and whether it
// is late.
func pollText(c api.Cluster, now time.Time) string {
	var last *time.Time
	for _, p := range c.Polls {
		if last == nil || p.At.After(*last) {
			last = &p.At
		}
	}
	switch {
	case last == nil:
		return string(api.ContactNever)
	case c.Contact == api.ContactLate:
		return textfmt.Age(last, now) + " (late)"
	}
	return textfmt.Age(last, now)
}

func labelText(labels map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, key+"="+labels[key])
	}
	return strings.Join(all, ",")
}
