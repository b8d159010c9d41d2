package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/server"
)

func newGetReleases(o *getOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "releases",
		Short: "What is served, what failed and why, and how the source is doing",
		Long: `Shows the live release and, after it, a revision of the source that has a fault and
is not served. What is wrong follows, one problem a line.

` + serverHelp,
		Example: `  tributary get releases
  tributary get releases -o json

Exit status is 0, or 1 if there is no answer.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd, func(ctx context.Context, c *server.Client, w io.Writer) error {
				releases, err := c.Releases(ctx)
				if err != nil {
					return err
				}
				if o.output != "" {
					return o.print(w, releases)
				}
				return releaseTable(w, releases)
			})
		},
	}
}

func releaseTable(w io.Writer, releases server.ReleasesAnswer) error {
	t := newTable(w, "ID", "STATE", "AT", "CLUSTERS", "PROBLEMS", "REVISION")
	for _, r := range releases.Items {
		t.row(r.ID, string(r.State), clock(r.At), fmt.Sprint(r.Clusters), fmt.Sprint(len(r.Problems)), r.Revision)
	}
	if err := t.end(); err != nil {
		return err
	}
	for _, r := range releases.Items {
		for _, p := range r.Problems {
			fmt.Fprintf(w, "%s: %s\n", r.State, visible(p.String()))
		}
	}
	if releases.Source.Error != "" {
		fmt.Fprintf(w, "source %s: %s\n", visible(releases.Source.Name), visible(releases.Source.Error))
	}
	return nil
}
