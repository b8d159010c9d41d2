package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetReleases(o *getOptions) *cobra.Command {
	var q fleet.ReleaseQuery
	var state string
	cmd := &cobra.Command{
		Use:     "releases [ID]...",
		Aliases: []string{"release", "rel"},
		Short:   "Show the releases and what needs attention, or one release in full",
		Long: `Shows the releases, newest first, with the number of inputs that each one removed,
changed and added, the subject of its commit, and whether the source can be read. A release
that was superseded keeps its time, and a revision that the source went back to has another
row. With -o wide, authors, pins and the times until which releases were live are shown too. Below the table it shows what
needs attention: what a held release would remove, how far a rollout is, the clusters
for which a release is invalid, and other problems. For one release, given by ID or
revision, it shows everything, including the decisions on it.`,
		Example: `  tributary get releases
  tributary get releases --state held -o json
  tributary get releases 3f9c1b22a0d4

Exit status is 0, or 1 if the release does not exist or the server does not answer.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q.State = fleet.ReleaseState(state)
			switch {
			case q.Limit < 0:
				return errors.New("--limit: must not be negative")
			case len(args) > 0 && state != "":
				return errors.New("get releases: use IDs or --state, not both")
			}
			return show(cmd, o, listing.Releases, func(ctx context.Context, c *client.Client) (listing.Answer[fleet.Release], error) {
				if len(args) == 0 {
					return getReleases(ctx, c, q)
				}
				return getReleasesByID(ctx, c, args)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only releases in this state: live, held, failed, superseded or rejected")
	cmd.Flags().IntVar(&q.Limit, "limit", 20, "maximum number of releases; 0 for all")
	return cmd
}

func getReleases(ctx context.Context, c *client.Client, q fleet.ReleaseQuery) (answer listing.Answer[fleet.Release], err error) {
	releases, err := c.Releases(ctx, q)
	if err != nil {
		return answer, err
	}
	answer.Items, answer.Partial = releases.Items, true
	answer.Document = func(items []fleet.Release) any {
		releases.Items = items
		return releases
	}
	answer.Below = func(w io.Writer) error { return listing.OpenReleases(w, answer.Items, releases.Source) }
	return answer, nil
}

func getReleasesByID(ctx context.Context, c *client.Client, ids []string) (listing.Answer[fleet.Release], error) {
	answer, err := byName(ids, func(id string) (r fleet.Release, err error) {
		found, err := c.Release(ctx, id)
		if err != nil {
			return r, err
		}
		return *found, nil
	})
	if answer.One && err == nil {
		answer.Below = func(w io.Writer) error { return listing.ReleaseDetails(w, &answer.Items[0]) }
	}
	return answer, err
}
