package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/await"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/progress"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/watch"
)

type waitOptions struct {
	server    remote.Flags
	condition string
	selector  string
	clusters  []string
	timeout   time.Duration
}

func newWait() *cobra.Command {
	o := &waitOptions{}
	cmd := &cobra.Command{
		Use:   "wait RELEASE|GENERATION --for CONDITION",
		Short: "Wait until a release is live or held, or has arrived at clusters",
		Long: `Waits for a condition of a release, given by ID or revision, or of a generation:

live     the release is live or rolling out. The wait ends with an error if it failed, was
         rejected or was superseded.
held     the release is held. The wait ends with an error if it is in another state.
arrived  the clusters have polled the release, or what the generation changed, in each set
         that they poll. Clusters that stay on another release do not count: they are
         pinned, orphaned, or the release is invalid for them.

A release that the server does not know yet may still come: the wait can begin right after
a push. What Flux made of the answer to a poll is not known to the server.`,
		Example: `  tributary wait main@sha1:$(git rev-parse HEAD) --for live --timeout 10m
  tributary wait 3f9c1b22a0d4 --for arrived --selector environment=prod
  tributary wait 42 --for arrived --timeout 1h

Exit status is 0 when the condition is met, or 1 if it is not within the timeout, cannot be
met, or the server does not answer.`,
		Args: named("RELEASE or GENERATION"),
		RunE: func(cmd *cobra.Command, args []string) error { return waitFor(cmd, args[0], o) },
	}
	o.server.Bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.condition, "for", "", "condition: "+await.Conditions)
	f.StringVarP(&o.selector, "selector", "l", "", "labels of the clusters at which it is to arrive, in the syntax of kubectl")
	f.Var(flags.Names(&o.clusters), "cluster", "name of a cluster at which it is to arrive (may be repeated)")
	f.Var(flags.Duration(&o.timeout, 5*time.Minute), "timeout", "maximum time to wait")
	return cmd
}

func waitFor(cmd *cobra.Command, text string, o *waitOptions) error {
	check, err := await.Condition(o.condition)
	if err != nil {
		return err
	}
	subject, err := await.ParseSubject(text)
	switch {
	case err != nil:
		return err
	case o.selector != "" && len(o.clusters) > 0:
		return errors.New("wait: use --selector or --cluster, not both")
	case o.timeout <= 0:
		return fmt.Errorf("--timeout %s: must be positive", o.timeout)
	}
	subject.Selector, subject.Clusters = o.selector, o.clusters
	c, err := o.server.Client()
	if err != nil {
		return err
	}
	line := progress.New(cmd.ErrOrStderr())
	defer line.Clear()
	w := watch.Watch{Client: c, Patient: true, Report: func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), "tributary: "+format+"\n", args...) }}
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), o.timeout, errTimeout)
	defer cancel()
	status := await.Status{Text: "the server has not answered"}
	first := true
	err = w.Do(ctx, func(ctx context.Context) (bool, error) {
		if first { // whatever the timeout, look once
			ctx, first = cmd.Context(), false
		}
		now, err := check(ctx, c, subject)
		if err == nil {
			status = now
			line.Show("%s", status.Text)
		}
		return status.Met, err
	})
	line.Clear()
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("not within %s: %s", flags.DurationText(o.timeout), status.Text)
	}
	if err != nil {
		return remote.Error(err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), status.Text)
	return nil
}

var errTimeout = errors.New("timeout")
