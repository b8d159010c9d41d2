package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/server/api"
)

func newVersion() *cobra.Command {
	var server remote.Flags
	var clientOnly bool
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this command and of the server",
		Long:  `Prints the version of this command and that of the server.`,
		Example: `  tributary version
  tributary version --client -o json

Exit status is 0, or 1 if the server does not answer.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			known := struct {
				Client string `json:"client"`
				Server string `json:"server,omitempty"`
			}{Client: version}
			var serverErr error
			if !clientOnly {
				known.Server, serverErr = serverVersion(cmd, &server)
			}
			err := printAs(cmd.OutOrStdout(), format, known, [][2]string{{"client", known.Client}, {"server", known.Server}})
			if err != nil {
				return err
			}
			return remote.Error(serverErr)
		},
	}
	server.Bind(cmd)
	cmd.Flags().BoolVar(&clientOnly, "client", false, "print only the version of this command")
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text, json or yaml")
	return cmd
}

func serverVersion(cmd *cobra.Command, server *remote.Flags) (string, error) {
	c, err := server.Client()
	if err != nil {
		return "", err
	}
	v, err := c.ServerVersion(cmd.Context())
	return v.Version, err
}

func newWhoami() *cobra.Command {
	var server remote.Flags
	var format string
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Print whose token is sent, and what it may do",
		Long: `Prints the name and role of the credential that the other commands send, the clusters
that it is limited to, and when it expires.`,
		Example: `  tributary whoami
  tributary whoami -o json

Exit status is 0, or 1 if the server accepts no such token or does not answer.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := server.Client()
			if err != nil {
				return err
			}
			who, err := c.Whoami(cmd.Context())
			if err != nil {
				return remote.Error(err)
			}
			return printAs(cmd.OutOrStdout(), format, who, whoamiLines(who))
		},
	}
	server.Bind(cmd)
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text, json or yaml")
	return cmd
}

func whoamiLines(who api.Whoami) [][2]string {
	lines := [][2]string{{"name", who.Name}, {"role", who.Role}, {"cluster", who.Cluster}, {"labels", labels.Set(who.Labels).String()}}
	if who.Selector != nil {
		lines = append(lines, [2]string{"clusters", selector.Describe(who.Selector, nil)})
	}
	if who.ExpiresAt != nil {
		lines = append(lines, [2]string{"expires", textfmt.Time(*who.ExpiresAt)})
	}
	return lines
}

// printAs prints a document in a format, or the lines of which the value is not empty.
func printAs(w io.Writer, format string, document any, lines [][2]string) error {
	if err := output.Check(format, "text", "json", "yaml"); err != nil {
		return err
	}
	if format != "text" {
		return output.Format{Name: format}.Print(w, document)
	}
	for _, line := range lines {
		if line[1] != "" {
			fmt.Fprintf(w, "%s: %s\n", line[0], textfmt.Visible(line[1]))
		}
	}
	return nil
}
