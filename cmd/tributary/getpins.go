package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetPins(o *getOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "pins",
		Short: "Show the pins, which keep clusters on a release",
		Long: `Shows each pin with the clusters that it is for, the number of clusters that it keeps on
its release (not counting those that another pin keeps), its expiry and its reason.

` + remote.Help,
		Example: `  tributary get pins

Exit status is 0, or 1 if the server does not answer.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd, func(ctx context.Context, c *client.Client, w io.Writer) error {
				pins, err := c.Pins(ctx)
				if err != nil {
					return err
				}
				if o.output != "" {
					return o.print(w, api.List[api.Pin]{Items: pins})
				}
				return listing.Pins(w, pins)
			})
		},
	}
}
