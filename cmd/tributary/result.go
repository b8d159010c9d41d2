package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/result"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

// writeFlags are what every command that changes something takes.
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
	flags.BoolVar(&f.dryRun, "dry-run", false, "check all and show what would change, and keep nothing")
	flags.StringVar(&f.reason, "reason", "", "why, for the history")
	flags.StringVar(&f.confirm, "confirm", "", "what is taken away beyond the guard is meant: the digest that the refusal told")
	flags.StringVarP(&f.output, "output", "o", "text", "text or json")
}

func (f *writeFlags) options() client.WriteOptions {
	return client.WriteOptions{DryRun: f.dryRun, Reason: f.reason, Confirm: f.confirm}
}

// client is one for the server of the flags, once all flags make sense.
func (f *writeFlags) client() (*client.Client, error) {
	if f.output != "text" && f.output != "json" {
		return nil, fmt.Errorf("--output %q: must be text or json", f.output)
	}
	return f.server.client()
}

// printResult prints what came of a write: each input that changed, as a diff.
// Warnings go to stderr, where they do not end up in a pipe.
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

// say prints a line of text that is no part of a result in JSON.
func (f *writeFlags) say(w io.Writer, line string) {
	if f.output == "text" {
		fmt.Fprintln(w, line)
	}
}
