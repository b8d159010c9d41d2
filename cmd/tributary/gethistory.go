package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
}

func newGetHistory(shared *getOptions) *cobra.Command {
	o := &historyOptions{getOptions: shared}
	cmd := &cobra.Command{
		Use:   "history [GENERATION]",
		Short: "Show the change log, newest first, or one change with its diff",
		Long: `Shows who changed what, when and why. For one generation it also shows each delta,
cluster, pin and token before and after. Changes older than the server's retention may
be missing.

` + remote.Help,
		Example: `  tributary get history
  tributary get history --cluster eu-prod-01 --since 24h
  tributary get history --delta pin-keda --actor ada --limit 10
  tributary get history 42

Exit status is 0, or 1 if the generation does not exist or the server does not answer.`,
		Args: between(0, "GENERATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, func(ctx context.Context, c *client.Client, w io.Writer) error {
				if len(args) > 0 {
					return getChange(ctx, c, w, args[0], o)
				}
				return getHistory(ctx, c, w, o)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.query.Cluster, "cluster", "", "changes that affected this cluster")
	f.StringVar(&o.query.Actor, "actor", "", "changes by the credential with this name")
	f.StringVar(&o.delta, "delta", "", "changes of this delta: NAME, or cluster/NAME for that of a cluster")
	f.StringVar(&o.since, "since", "", "changes after this time: RFC 3339, or how long ago, such as 24h")
	f.StringVar(&o.until, "until", "", "changes before this time: RFC 3339, or how long ago")
	f.IntVar(&o.query.Limit, "limit", 50, "maximum number of changes; 0 for all")
	return cmd
}

func getHistory(ctx context.Context, c *client.Client, w io.Writer, o *historyOptions) error {
	var err error
	if o.query.Since, err = flags.Moment("since", o.since, time.Now()); err != nil {
		return err
	}
	if o.query.Until, err = flags.Moment("until", o.until, time.Now()); err != nil {
		return err
	}
	if o.query.Limit < 0 {
		return errors.New("--limit: must not be negative")
	}
	if o.query.Delta = o.delta; o.delta != "" && !strings.Contains(o.delta, "/") {
		o.query.Delta = fleet.DeltaID(o.delta)
	}
	changes, err := c.History(ctx, o.query)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, api.List[api.Change]{Items: changes})
	}
	return listing.Changes(w, changes)
}

func getChange(ctx context.Context, c *client.Client, w io.Writer, text string, o *historyOptions) error {
	generation, err := strconv.ParseInt(text, 10, 64)
	if err != nil || generation < 1 {
		return fmt.Errorf("generation %q: must be a positive number", text)
	}
	entry, err := c.Change(ctx, generation)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, entry)
	}
	return listing.Change(w, entry)
}
