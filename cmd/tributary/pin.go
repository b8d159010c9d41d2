package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

type pinOptions struct {
	remote.WriteFlags
	clusters []string
	selector string
	all      bool
	match    remote.Match
	name     string
	expires  string
}

func newPin() *cobra.Command {
	o := &pinOptions{}
	cmd := &cobra.Command{
		Use:   "pin RELEASE --cluster NAME | --selector LABELS | --all",
		Short: "Keep clusters on a release, or return the fleet to an earlier one",
		Long: `Puts clusters on a release, given by ID or revision, and keeps them there whatever goes
live, until the pin is removed or expires. If several pins are for a cluster, one that
names the cluster wins over one with a selector, and otherwise the first by name wins.
Prints the inputs that change, as a diff.

Without --name the name of the pin is derived from its clusters, and the pin replaces one
of that name for the same clusters.`,
		Example: `  tributary pin 3f9c1b22a0d4 --all --reason INC-4711
  tributary pin 3f9c1b22a0d4 --cluster eu-prod-01 --expires 72h
  tributary pin main@sha1:8f1c… --selector environment=prod --name freeze --dry-run

Exit status is 0, or 1 if nothing was changed.`,
		Args: named("RELEASE"),
		RunE: func(cmd *cobra.Command, args []string) error { return pin(cmd, args[0], o) },
	}
	o.Bind(cmd)
	f := cmd.Flags()
	f.Var(flags.Names(&o.clusters), "cluster", "name of a cluster (may be repeated)")
	f.StringVarP(&o.selector, "selector", "l", "", "labels of the clusters, in the syntax of kubectl")
	f.BoolVar(&o.all, "all", false, "all clusters of the fleet")
	o.match.Bind(f)
	f.StringVar(&o.name, "name", "", "name of the pin (default: derived from its clusters)")
	f.StringVar(&o.expires, "expires", "", "when the pin expires: a duration from now, such as 72h, or a time (RFC 3339)")
	return cmd
}

func pin(cmd *cobra.Command, release string, o *pinOptions) error {
	p, err := o.pin(release, time.Now())
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return o.Write(cmd, func(ctx context.Context, c *client.Client, options client.WriteOptions) (*fleet.Result, error) {
		if o.name == "" {
			if err := guardDerivedName(ctx, c, p, &options); err != nil {
				return nil, err
			}
		}
		err := errors.Join(o.match.Selector(ctx, c, "selector", o.selector), o.match.Names(ctx, c, p.Clusters))
		if err != nil {
			return nil, err
		}
		if o.name == "" {
			o.Say(cmd.OutOrStdout(), "pin "+p.Name)
		}
		return c.PutPin(ctx, options, p)
	})
}

// pin returns the pin that the flags describe.
func (o *pinOptions) pin(release string, now time.Time) (p fleet.Pin, err error) {
	p = fleet.Pin{Name: o.name, Release: release, Reason: o.Reason}
	given := 0
	for _, is := range []bool{len(o.clusters) > 0, o.selector != "", o.all} {
		if is {
			given++
		}
	}
	derived := "fleet"
	switch {
	case given != 1:
		return p, errors.New("name the clusters with one of --cluster, --selector and --all")
	case o.all:
		p.Selector = &fleet.Selector{}
	case o.selector != "":
		derived = o.selector
		p.Selector, err = selector.Parse(o.selector)
	default:
		p.Clusters = slices.Compact(slices.Sorted(slices.Values(o.clusters)))
		derived = strings.Join(p.Clusters, "-")
	}
	if err != nil {
		return p, err
	}
	if p.Name == "" {
		p.Name = textfmt.Label(derived)
	}
	p.ExpiresAt, err = flags.Expiry("expires", o.expires, now)
	return p, err
}

// guardDerivedName makes sure that a pin with a derived name does not replace a pin of
// other clusters. Names are shortened, so different clusters can lead to the same name.
func guardDerivedName(ctx context.Context, c *client.Client, p fleet.Pin, options *client.WriteOptions) error {
	there, tag, err := c.Pin(ctx, p.Name)
	switch {
	case errors.Is(err, fleet.ErrNotFound):
		options.IfNoneMatch = "*"
		return nil
	case err != nil:
		return err
	case !reflect.DeepEqual(there.Clusters, p.Clusters) || !reflect.DeepEqual(there.Selector, p.Selector):
		return fmt.Errorf("pin %q is already for %s: name this one with --name", p.Name, pinScope(there))
	}
	options.IfMatch = tag
	return nil
}

// pinScope describes the clusters of a pin.
func pinScope(p *fleet.Pin) string {
	return selector.Describe(p.Selector, p.Clusters)
}

func newUnpin() *cobra.Command {
	o := &remote.WriteFlags{}
	cmd := &cobra.Command{
		Use:   "unpin NAME",
		Short: "Remove a pin",
		Long: `Removes a pin. Its clusters follow the fleet again at once. Prints the inputs that change,
as a diff. See tributary get pins for names.`,
		Example: `  tributary unpin freeze --reason 'INC-4711 is over'

Exit status is 0, or 1 if nothing was changed.`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.Write(cmd, func(ctx context.Context, c *client.Client, options client.WriteOptions) (*fleet.Result, error) {
				return c.DeletePin(ctx, options, args[0])
			})
		},
	}
	o.Bind(cmd)
	return cmd
}
