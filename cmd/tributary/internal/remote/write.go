package remote

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

// WriteFlags are the flags of every command that changes something.
type WriteFlags struct {
	Server  Flags
	DryRun  bool
	Reason  string
	Output  string
	confirm string
}

// Bind adds the flags to cmd and its subcommands.
func (f *WriteFlags) Bind(cmd *cobra.Command) {
	f.Server.Bind(cmd)
	set := cmd.PersistentFlags()
	set.BoolVar(&f.DryRun, "dry-run", false, "check and show what would change, without changing anything")
	set.StringVar(&f.Reason, "reason", "", "reason, recorded in the history")
	set.StringVar(&f.confirm, "confirm", "", "confirm an impact beyond the guard: the digest that the error shows")
	set.StringVarP(&f.Output, "output", "o", "text", "text or json")
}

// Options returns the options of a write that the flags set.
func (f *WriteFlags) Options() client.WriteOptions {
	return client.WriteOptions{DryRun: f.DryRun, Reason: f.Reason, Confirm: f.confirm}
}

// Client checks the flags and returns a client for the server.
func (f *WriteFlags) Client() (*client.Client, error) {
	if err := output.Check(f.Output, "text", "json"); err != nil {
		return nil, err
	}
	return f.Server.Client()
}

// Write calls a method of the client that writes, and prints the result.
func (f *WriteFlags) Write(cmd *cobra.Command, do func(ctx context.Context, c *client.Client, o client.WriteOptions) (*fleet.Result, error)) error {
	c, err := f.Client()
	if err != nil {
		return err
	}
	r, err := do(cmd.Context(), c, f.Options())
	if err != nil {
		return Error(err)
	}
	return f.Print(cmd, r)
}

// Print prints the result of a write: each input that changed, as a diff.
func (f *WriteFlags) Print(cmd *cobra.Command, r *fleet.Result) error {
	return f.PrintWith(cmd, r, result.Print)
}

// PrintWith prints the result of a write as JSON, or else with a function. Warnings go to stderr.
func (f *WriteFlags) PrintWith(cmd *cobra.Command, r *fleet.Result, print func(io.Writer, *fleet.Result) error) error {
	w := cmd.OutOrStdout()
	for _, warning := range r.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "tributary: warning:", textfmt.Visible(warning))
	}
	if f.Output == "json" {
		return output.JSON(w, r)
	}
	return print(w, r)
}

// Say prints a line, unless the output is JSON.
func (f *WriteFlags) Say(w io.Writer, line string) {
	if f.Output == "text" {
		fmt.Fprintln(w, line)
	}
}
