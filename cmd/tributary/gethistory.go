package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

type historyOptions struct {
	*getOptions
	query        fleet.ChangeQuery
	delta        string
	since, until string
	match        remote.Match
}

func newGetHistory(shared *getOptions) *cobra.Command {
	o := &historyOptions{getOptions: shared}
	cmd := &cobra.Command{
		Use:     "history [GENERATION]...",
		Aliases: []string{"changes", "change"},
		Short:   "Show the change log, newest first, or one change with its diff",
		Long: `Shows who changed what, when and why. For one generation it also shows each delta,
cluster, pin and token before and after. Changes older than the server's retention may
be missing.`,
		Example: `  tributary get history
  tributary get history --cluster eu-prod-01 --since 24h
  tributary get history --delta pin-keda --actor ada --limit 10
  tributary get history 42

Exit status is 0, or 1 if the generation does not exist or the server does not answer.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(time.Now()); err != nil {
				return err
			}
			return show(cmd, o.getOptions, listing.Changes, func(ctx context.Context, c *client.Client) (answer listing.Answer[api.Change], err error) {
				if len(args) == 0 {
					return o.history(ctx, c)
				}
				answer, err = byName(args, func(text string) (api.Change, error) { return getChange(ctx, c, text) })
				if answer.One && err == nil {
					answer.Full = func(w io.Writer) error { return listing.Change(w, answer.Items[0]) }
				}
				return answer, err
			})
		},
	}
	f := cmd.Flags()
	o.match.Bind(f)
	f.StringVar(&o.query.Cluster, "cluster", "", "changes that affected this cluster")
	f.StringVar(&o.query.Actor, "actor", "", "changes by the credential with this name")
	f.StringVar(&o.delta, "delta", "", "changes of this delta: NAME, or cluster/NAME for that of a cluster")
	f.StringVar(&o.since, "since", "", "changes after this time: RFC 3339, or how long ago, such as 7d")
	f.StringVar(&o.until, "until", "", "changes before this time: RFC 3339, or how long ago")
	f.IntVar(&o.query.Limit, "limit", 50, "maximum number of changes; 0 for all")
	return cmd
}

// history returns the changes that match. A cluster that is not known, and that none of them was
// for, is an error: a release going live is for every cluster.
func (o *historyOptions) history(ctx context.Context, c *client.Client) (answer listing.Answer[api.Change], err error) {
	answer.Partial = true
	answer.Items, err = c.History(ctx, o.query)
	isFor := func(c api.Change) bool { return slices.Contains(c.Clusters, o.query.Cluster) }
	if err == nil && o.query.Cluster != "" && !slices.ContainsFunc(answer.Items, isFor) {
		err = o.match.Names(ctx, c, []string{o.query.Cluster})
	}
	return answer, err
}

// check reads the flags into the query.
func (o *historyOptions) check(now time.Time) (err error) {
	if o.query.Since, err = flags.Moment("since", o.since, now); err != nil {
		return err
	}
	if o.query.Until, err = flags.Moment("until", o.until, now); err != nil {
		return err
	}
	if o.query.Limit < 0 {
		return errors.New("--limit: must not be negative")
	}
	if o.query.Delta = o.delta; o.delta != "" && !strings.Contains(o.delta, "/") {
		o.query.Delta = fleet.DeltaID(o.delta)
	}
	return nil
}

func getChange(ctx context.Context, c *client.Client, text string) (api.Change, error) {
	generation, err := strconv.ParseInt(text, 10, 64)
	if err != nil || generation < 1 {
		return api.Change{}, fmt.Errorf("generation %q: must be a positive number", text)
	}
	return c.Change(ctx, generation)
}
