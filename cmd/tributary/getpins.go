package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetPins(o *getOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "pins [NAME]...",
		Aliases: []string{"pin"},
		Short:   "Show the pins, which keep clusters on a release",
		Long: `Shows each pin with the clusters that it is for, the number of clusters that it keeps on
its release (not counting those that another pin keeps), its expiry and its reason.`,
		Example: `  tributary get pins

Exit status is 0, or 1 if the server does not answer.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd, o, listing.Pins, func(ctx context.Context, c *client.Client) (listing.Answer[api.Pin], error) {
				pins, err := c.Pins(ctx)
				if err != nil {
					return listing.Answer[api.Pin]{}, err
				}
				return pick("pin", pins, args, func(p api.Pin, name string) bool { return p.Name == name })
			})
		},
	}
}
