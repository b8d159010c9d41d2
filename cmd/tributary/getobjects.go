package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetObjects(o *getOptions) *cobra.Command {
	var narrow flags.Object
	cmd := &cobra.Command{
		Use:     "objects CLUSTER [KIND/NAME]...",
		Aliases: []string{"object"},
		Short:   "Show the objects of a cluster, or one of them in full",
		Long: `Shows the objects of a cluster with all deltas applied. A single object is printed in
full, as YAML unless -o says otherwise.`,
		Example: `  tributary get objects eu-prod-01
  tributary get objects eu-prod-01 PlatformComponent/keda
  tributary get objects eu-prod-01 -o yaml > objects.yaml

Exit status is 0, or 1 if the object does not exist or the server does not answer.`,
		Args: atLeast("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd, o, listing.Objects, func(ctx context.Context, c *client.Client) (answer listing.Answer[listing.Object], err error) {
				if len(args) == 1 {
					return getObjects(ctx, c, args[0])
				}
				answer, err = byName(args[1:], func(text string) (object listing.Object, err error) {
					name, err := narrow.Name(text)
					if err != nil {
						return object, err
					}
					found, _, err := c.Object(ctx, args[0], name)
					if err != nil {
						return object, err
					}
					return listing.ReadObject(found)
				})
				if answer.One && err == nil {
					answer.Full = func(w io.Writer) error { return output.Document(w, answer.Items[0].Text, "yaml") }
				} else {
					answer.Document = listing.ObjectList
				}
				return answer, err
			})
		},
	}
	narrow.Bind(cmd.Flags())
	return cmd
}

func getObjects(ctx context.Context, c *client.Client, cluster string) (answer listing.Answer[listing.Object], err error) {
	texts, err := c.Objects(ctx, cluster)
	if err != nil {
		return answer, err
	}
	answer.Items, answer.Document = make([]listing.Object, len(texts)), listing.ObjectList
	for i, text := range texts {
		if answer.Items[i], err = listing.ReadObject(text); err != nil {
			return answer, err
		}
	}
	return answer, nil
}
