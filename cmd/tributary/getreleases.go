package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetReleases(o *getOptions) *cobra.Command {
	var q fleet.ReleaseQuery
	var state string
	cmd := &cobra.Command{
		Use:   "releases [ID]",
		Short: "Show the releases and what needs attention, or one release in full",
		Long: `Shows the releases, newest first, with the number of inputs that each one removed,
changed and added, and whether the source can be read. Below the table it shows what
needs attention: what a held release would remove, how far a rollout is, the clusters
for which a release is invalid, and other problems. For one release, given by ID or
revision, it shows everything, including the decisions on it.

` + remote.Help,
		Example: `  tributary get releases
  tributary get releases --state held -o json
  tributary get releases 3f9c1b22a0d4

Exit status is 0, or 1 if the release does not exist or the server does not answer.`,
		Args: between(0, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.State = fleet.ReleaseState(state)
			switch {
			case q.Limit < 0:
				return errors.New("--limit: must not be negative")
			case len(args) > 0 && state != "":
				return errors.New("get releases: use an ID or --state, not both")
			}
			return o.run(cmd, func(ctx context.Context, c *client.Client, w io.Writer) error {
				if len(args) > 0 {
					return getRelease(ctx, c, w, args[0], o)
				}
				return getReleases(ctx, c, w, q, o)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only releases in this state: live, held, failed, superseded or rejected")
	cmd.Flags().IntVar(&q.Limit, "limit", 20, "maximum number of releases; 0 for all")
	return cmd
}

func getReleases(ctx context.Context, c *client.Client, w io.Writer, q fleet.ReleaseQuery, o *getOptions) error {
	releases, err := c.Releases(ctx, q)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, releases)
	}
	return listing.Releases(w, releases.Items, releases.Source)
}

func getRelease(ctx context.Context, c *client.Client, w io.Writer, name string, o *getOptions) error {
	r, err := c.Release(ctx, name)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, r)
	}
	return listing.Release(w, r)
}
