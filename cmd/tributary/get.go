package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/watch"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

// getOptions are shared by the subcommands of get.
type getOptions struct {
	server remote.Flags
	list   listing.Flags
}

func newGet() *cobra.Command {
	o := &getOptions{}
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Show clusters, objects, inputs, deltas, releases, pins, history or tokens",
		Long: `Shows what a server has, as a table. With -o wide the table has more columns, and times
instead of ages. Other formats are names, JSON, YAML, and JSONPath as kubectl takes it.`,
		Example: `  tributary get clusters --selector environment=prod
  tributary get cluster eu-prod-01 -o jsonpath='{.release.revision}'
  tributary get deltas -o yaml > deltas.yaml
  tributary get history --cluster eu-prod-01 --since 24h

Exit status is 0, or 1 if it does not exist or the server does not answer.`,
	}
	o.server.Bind(cmd)
	o.list.Bind(cmd.PersistentFlags())
	return withSubcommands(cmd, "resource", newGetClusters(o), newGetObjects(o), newGetInputs(o), newGetDeltas(o), newGetReleases(o), newGetPins(o), newGetHistory(o), newGetTokens(o))
}

// show prints what a server answers to fetch.
func show[T any](cmd *cobra.Command, o *getOptions, kind listing.Kind[T], fetch func(ctx context.Context, c *client.Client) (listing.Answer[T], error)) error {
	if err := o.list.Check(); err != nil {
		return err
	}
	c, err := o.server.Client()
	if err != nil {
		return err
	}
	answer, err := fetch(cmd.Context(), c)
	if o.list.Watch && err == nil {
		return remote.Error(watchAnswers(cmd, o, kind, c, answer, fetch))
	}
	if len(answer.Items) == 0 && err != nil {
		return remote.Error(err)
	}
	printErr := terminal.Page(cmd.OutOrStdout(), func(w io.Writer) error { return kind.Print(w, answer, &o.list) })
	return errors.Join(remote.Error(err), printErr)
}

// watchAnswers prints an answer, and what is new or different in later ones. Something that was
// asked for by its name may come and go.
func watchAnswers[T any](cmd *cobra.Command, o *getOptions, kind listing.Kind[T], c *client.Client, answer listing.Answer[T], fetch func(ctx context.Context, c *client.Client) (listing.Answer[T], error)) error {
	printer, err := kind.NewWatcher(cmd.OutOrStdout(), &o.list)
	if err != nil {
		return err
	}
	if err := printer.Print(answer); err != nil {
		return err
	}
	w := watch.Watch{Client: c, Patient: true, Report: func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), "tributary: "+format+"\n", args...) }}
	return w.Do(cmd.Context(), func(ctx context.Context) (bool, error) {
		answer, err := fetch(ctx, c)
		if err != nil && !errors.Is(err, fleet.ErrNotFound) {
			return false, err
		}
		return false, printer.Print(answer)
	})
}

// byName returns the things with some names. It returns those that it finds even if there is an
// error for others.
func byName[T any](names []string, find func(name string) (T, error)) (answer listing.Answer[T], err error) {
	for _, name := range names {
		item, findErr := find(name)
		if findErr != nil {
			err = errors.Join(err, findErr)
			continue
		}
		answer.Items = append(answer.Items, item)
	}
	answer.One = len(names) == 1
	return answer, err
}

// pick returns the items with some names, or all of them if there are no names.
func pick[T any](noun string, items []T, names []string, is func(item T, name string) bool) (listing.Answer[T], error) {
	if len(names) == 0 {
		return listing.Answer[T]{Items: items}, nil
	}
	return byName(names, func(name string) (item T, err error) {
		at := slices.IndexFunc(items, func(item T) bool { return is(item, name) })
		if at < 0 {
			return item, fmt.Errorf("%s %q: %w: tributary get %[1]ss lists those that exist", noun, name, fleet.ErrNotFound)
		}
		return items[at], nil
	})
}

// atLeast requires an argument for each name, and accepts more.
func atLeast(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return named(names...)(cmd, args[:min(len(args), len(names))])
	}
}

// atMost accepts up to one argument for each name.
func atMost(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return named(names[:min(len(args), len(names))]...)(cmd, args)
	}
}
