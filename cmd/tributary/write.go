package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/result"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

// writeFlags are the flags of every command that changes something.
type writeFlags struct {
	server  serverFlags
	dryRun  bool
	reason  string
	confirm string
	output  string
}

func (f *writeFlags) bind(cmd *cobra.Command) {
	f.server.bind(cmd)
	flags := cmd.PersistentFlags()
	flags.BoolVar(&f.dryRun, "dry-run", false, "check and show what would change, without changing anything")
	flags.StringVar(&f.reason, "reason", "", "reason, recorded in the history")
	flags.StringVar(&f.confirm, "confirm", "", "confirm removals beyond the guard: the digest that the error shows")
	flags.StringVarP(&f.output, "output", "o", "text", "text or json")
}

func (f *writeFlags) options() client.WriteOptions {
	return client.WriteOptions{DryRun: f.dryRun, Reason: f.reason, Confirm: f.confirm}
}

// client checks the flags and returns a client for the server.
func (f *writeFlags) client() (*client.Client, error) {
	if err := output.Check(f.output, "text", "json"); err != nil {
		return nil, err
	}
	return f.server.client()
}

// write calls a method of the client that writes, and prints the result.
func (f *writeFlags) write(cmd *cobra.Command, do func(ctx context.Context, c *client.Client, o client.WriteOptions) (*fleet.Result, error)) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	r, err := do(cmd.Context(), c, f.options())
	if err != nil {
		return refused(err)
	}
	return f.printResult(cmd, r)
}

// printResult prints the result of a write: each input that changed, as a diff. Warnings
// go to stderr.
func (f *writeFlags) printResult(cmd *cobra.Command, r *fleet.Result) error {
	w := cmd.OutOrStdout()
	for _, warning := range r.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "tributary: warning:", textfmt.Visible(warning))
	}
	if f.output == "json" {
		return output.JSON(w, r)
	}
	return result.Print(w, r)
}

// say prints a line, unless the output is JSON.
func (f *writeFlags) say(w io.Writer, line string) {
	if f.output == "text" {
		fmt.Fprintln(w, line)
	}
}
