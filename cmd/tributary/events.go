package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newEvents() *cobra.Command {
	o := &historyOptions{getOptions: &getOptions{}}
	var subject string
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show the last changes, oldest first, and with --watch further ones as they happen",
		Long: `Shows the last changes of the fleet, of whatever kind: releases, writes, pins, tokens,
registrations and decommissions. See tributary get history for one of them in full.`,
		Example: `  tributary events --watch
  tributary events --for cluster/eu-prod-01 --since 7d
  tributary events --for delta/pin-keda -o json

Exit status is 0, or 1 if the server does not answer.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch kind, name, _ := strings.Cut(subject, "/"); {
			case subject == "":
			case kind == "cluster" && name != "":
				o.query.Cluster = name
			case kind == "delta" && name != "":
				o.delta = name
			default:
				return fmt.Errorf("--for %q: must be cluster/NAME or delta/NAME", subject)
			}
			if err := o.check(time.Now()); err != nil {
				return err
			}
			return show(cmd, o.getOptions, listing.Changes, func(ctx context.Context, c *client.Client) (answer listing.Answer[api.Change], err error) {
				answer, err = o.history(ctx, c)
				slices.Reverse(answer.Items)
				return answer, err
			})
		},
	}
	o.server.Bind(cmd)
	o.list.Bind(cmd.Flags())
	f := cmd.Flags()
	o.match.Bind(f)
	f.StringVar(&subject, "for", "", "only changes of cluster/NAME or delta/NAME")
	f.StringVar(&o.since, "since", "", "changes after this time: RFC 3339, or how long ago, such as 7d")
	f.IntVar(&o.query.Limit, "limit", 20, "maximum number of changes; 0 for all")
	return cmd
}
