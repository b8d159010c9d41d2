package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetObjects(o *getOptions) *cobra.Command {
	var narrow flags.Object
	cmd := &cobra.Command{
		Use:   "objects CLUSTER [KIND/NAME]",
		Short: "Show the objects of a cluster, or one of them in full",
		Long: `Shows the objects of a cluster with all deltas applied. A single object is printed in
full, as YAML unless -o json is given.

` + remote.Help,
		Example: `  tributary get objects eu-prod-01
  tributary get objects eu-prod-01 PlatformComponent/keda
  tributary get objects eu-prod-01 -o yaml > objects.yaml

Exit status is 0, or 1 if the object does not exist or the server does not answer.`,
		Args: between(1, "CLUSTER", "KIND/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, func(ctx context.Context, c *client.Client, w io.Writer) error {
				if len(args) == 1 {
					return getObjects(ctx, c, w, args[0], o)
				}
				name, err := narrow.Name(args[1])
				if err != nil {
					return err
				}
				object, _, err := c.Object(ctx, args[0], name)
				if err != nil {
					return err
				}
				return o.print(w, object)
			})
		},
	}
	narrow.Bind(cmd.Flags())
	return cmd
}

func getObjects(ctx context.Context, c *client.Client, w io.Writer, cluster string, o *getOptions) error {
	texts, err := c.Objects(ctx, cluster)
	if err != nil {
		return err
	}
	if o.output != "" {
		objects := make([]fleet.Object, len(texts))
		for i, text := range texts {
			objects[i].JSON = text
		}
		return output.Objects(w, objects, o.output)
	}
	return listing.Objects(w, texts)
}
