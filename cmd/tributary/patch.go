package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/document"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/setting"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

type patchOptions struct {
	remote.WriteFlags
	object    flags.Object
	settings  setting.List
	patch     string
	patchFile string
	kind      string
	group     flags.Group
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
document with kustomize patches for tributary apply instead.

` + remote.Help,
		Example: `  tributary patch eu-prod-01 PlatformComponent/keda --set spec.values.replicaCount=3 --dry-run
  tributary patch eu-prod-01 PlatformComponent/keda --patch '{spec: {values: {replicaCount: null}}}'
  tributary patch eu-prod-01 Namespace/web --type json \
    --patch '[{"op": "add", "path": "/metadata/labels/team", "value": "web"}]'
  tributary patch --selector environment=dev --delta pin-keda PlatformComponent/keda \
    --set spec.source.oci_tag=v2.14.0 --reason INC-4711 --expires-in 72h

Exit status is 0, or 1 if nothing was changed.`,
		Args: cobra.ArbitraryArgs, // checked below: --delta may come from the environment
		RunE: func(cmd *cobra.Command, args []string) error { return patch(cmd, args, o) },
	}
	o.Bind(cmd)
	f := cmd.Flags()
	o.object.Bind(f)
	o.group.Bind(f)
	f.Var(o.settings.Flag("set"), "set", "change, such as spec.values.replicaCount=3 (may be repeated)")
	f.Var(o.settings.Flag("set-string"), "set-string", "like --set, with values that are always strings (may be repeated)")
	f.Var(o.settings.Flag("set-json"), "set-json", "like --set, with values in JSON (may be repeated)")
	f.StringVar(&o.patch, "patch", "", "patch, as YAML or JSON")
	f.StringVar(&o.patchFile, "patch-file", "", "file with the patch, - for standard input")
	f.StringVar(&o.kind, "type", "merge", "type of the patch: merge, json or strategic")
	return cmd
}

var patchTypes = map[string]fleet.PatchType{
	"merge": fleet.MergePatch, "json": fleet.JSONPatch, "strategic": fleet.StrategicMergePatch,
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
	change, err := o.change(cmd.InOrStdin())
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

// objectChange is a change to an object: either a patch, or assignments.
type objectChange struct {
	patch       *fleet.ObjectPatch
	assignments setting.Assignments
}

func (o *patchOptions) change(stdin io.Reader) (c objectChange, err error) {
	kind, known := patchTypes[o.kind]
	given := 0
	for _, is := range []bool{len(o.settings) > 0, o.patch != "", o.patchFile != ""} {
		if is {
			given++
		}
	}
	switch {
	case !known:
		return c, fmt.Errorf("--type %q: must be merge, json or strategic", o.kind)
	case given == 0:
		return c, errors.New("patch: no change given; use --set, --patch or --patch-file")
	case given > 1:
		return c, errors.New("patch: use only one of --set, --patch and --patch-file")
	case len(o.settings) > 0 && kind != fleet.MergePatch:
		return c, errors.New("--set makes a merge patch; leave out --type, or use --patch")
	case len(o.settings) > 0:
		c.assignments, err = o.settings.Assignments()
		return c, err
	}
	text := []byte(o.patch)
	if o.patchFile != "" {
		if text, err = document.ReadFile(o.patchFile, stdin); err != nil {
			return c, err
		}
	}
	body, err := document.ToJSON(text)
	if err != nil {
		return c, fmt.Errorf("the patch: %w", err)
	}
	c.patch = &fleet.ObjectPatch{Type: kind, Body: body}
	return c, nil
}

// of returns the patch for an object, which may be nil unless the assignments are
// indexed.
func (c objectChange) of(object json.RawMessage) (fleet.ObjectPatch, error) {
	if c.patch != nil {
		return *c.patch, nil
	}
	body, err := c.assignments.MergePatch(object)
	return fleet.ObjectPatch{Type: fleet.MergePatch, Body: body}, err
}

// patchObject changes an object of one cluster. If it has to read the object first, the
// write requires that the object has not changed since.
func (o *patchOptions) patchObject(ctx context.Context, c *client.Client, cluster string, name fleet.ObjectName, change objectChange) (*fleet.Result, error) {
	return retryStale(func() (*fleet.Result, error) {
		options := o.Options()
		var object json.RawMessage
		if change.assignments.Indexed() {
			var err error
			if object, options.IfMatch, err = c.Object(ctx, cluster, name); err != nil {
				return nil, err
			}
		}
		patch, err := change.of(object)
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
