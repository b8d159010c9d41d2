package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/setting"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

type patchOptions struct {
	remote.WriteFlags
	object flags.Object
	change flags.Change
	group  flags.Group
	match  remote.Match
}

func newPatch() *cobra.Command {
	o := &patchOptions{}
	cmd := &cobra.Command{
		Use:   "patch CLUSTER KIND/NAME, or patch --delta NAME KIND/NAME",
		Short: "Change an object for one cluster, or for a group with --delta",
		Long: `Changes an object for one cluster, as an edit in the cluster's delta. With --delta it
changes the object for the clusters of --selector or --clusters, as an edit in that named
delta. Prints the inputs that change, as a diff.

` + setting.Help + `

--patch takes a merge patch (RFC 7386), or with --type a JSON patch (RFC 6902) or a
strategic merge patch, as YAML or JSON. With --delta it takes merge patches only; write a
document with kustomize patches for tributary apply instead.`,
		Example: `  tributary patch eu-prod-01 PlatformComponent/keda --set spec.values.operator.replicaCount=5 --dry-run
  tributary patch eu-prod-01 PlatformComponent/keda --patch '{spec: {values: {operator: {replicaCount: null}}}}'
  tributary patch eu-prod-01 Namespace/podinfo --type json \
    --patch '[{"op": "add", "path": "/metadata/labels/team", "value": "podinfo"}]'
  tributary patch --selector environment=dev --delta pin-keda PlatformComponent/keda \
    --set spec.source.oci_tag=2.19.0 --reason INC-4711 --expires-in 72h

Exit status is 0, or 1 if nothing was changed.`,
		Args: cobra.ArbitraryArgs, // checked below: --delta may come from the environment
		RunE: func(cmd *cobra.Command, args []string) error { return patch(cmd, args, o) },
	}
	o.Bind(cmd)
	f := cmd.Flags()
	o.object.Bind(f)
	o.group.Bind(f)
	o.match.Bind(f)
	o.change.Bind(f)
	return cmd
}

func patch(cmd *cobra.Command, args []string, o *patchOptions) error {
	wanted := named("CLUSTER", "KIND/NAME")
	if o.group.Name != "" {
		wanted = named("KIND/NAME")
	}
	if err := wanted(cmd, args); err != nil {
		return err
	}
	name, err := o.object.Name(args[len(args)-1])
	if err != nil {
		return err
	}
	change, err := o.change.Read(cmd.InOrStdin())
	if err != nil {
		return err
	}
	return o.Write(cmd, func(ctx context.Context, c *client.Client, _ client.WriteOptions) (*fleet.Result, error) {
		if o.group.Name != "" {
			return o.patchGroup(ctx, c, name, change)
		}
		if err := o.group.Unused(); err != nil {
			return nil, err
		}
		return o.patchObject(ctx, c, args[0], name, change)
	})
}

// patchObject changes an object of one cluster. If it has to read the object first, the
// write requires that the object has not changed since.
func (o *patchOptions) patchObject(ctx context.Context, c *client.Client, cluster string, name fleet.ObjectName, change flags.ObjectChange) (*fleet.Result, error) {
	return retryStale(func() (*fleet.Result, error) {
		options := o.Options()
		var object json.RawMessage
		if change.Indexed() {
			var err error
			if object, options.IfMatch, err = c.Object(ctx, cluster, name); err != nil {
				return nil, err
			}
		}
		patch, err := change.Patch(object)
		if err != nil {
			return nil, err
		}
		return c.PatchObject(ctx, options, cluster, name, patch)
	})
}

// retryStale calls write again while another write came between its read and its write.
func retryStale(write func() (*fleet.Result, error)) (result *fleet.Result, err error) {
	for range maxConflicts {
		if result, err = write(); !errors.Is(err, fleet.ErrStale) {
			break
		}
	}
	return result, err
}

// maxConflicts is more than a person meets. Pipelines that all change the same thing
// should get an error.
const maxConflicts = 20
