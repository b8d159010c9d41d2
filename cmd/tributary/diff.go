package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/document"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/exitcode"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/preview"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/archive"
)

type diffOptions struct {
	source  flags.Source
	server  remote.Flags
	deltas  string
	output  string
	summary bool
}

// The exit statuses of diff. If several apply, the highest wins.
const (
	changes     = 1
	wouldBeHeld = 2
	hasFaults   = 3
	failed      = 4
)

func newDiff() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff SOURCE SOURCE, or diff SOURCE --server URL",
		Short: "Show what a change of the fleet repo would do, for a pull request",
		Long: `Shows what would happen if a SOURCE became the next release: the clusters, inputs and
fields that change, removals first; whether the guard would hold it; and the clusters for
which it is invalid. The comparison is with another SOURCE, which is given first, or with
what a server serves, including its deltas and clusters. Nothing is changed, and a viewer
token is enough.

On a terminal a long output goes through the pager of PAGER. With --summary it has no single
change. With -o markdown the output is a comment for a pull request, cut to the length that GitHub
accepts; -o json has everything.

` + flags.SourceHelp,
		Example: `  tributary diff "git+file://$PWD?ref=main" .
  tributary diff . --server https://tributary.example.com
  tributary diff . --server https://tributary.example.com -o markdown > comment.md

Exit status is 0 if nothing would change, 1 if something would, 2 if the guard would hold
it, 3 if it has faults, and 4 if the comparison failed.`,
		Annotations: exitcode.OnFailure(failed),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return named("SOURCE", "second SOURCE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runDiff(cmd, args, &o) },
	}
	f := cmd.Flags()
	o.source.Bind(f)
	o.server.BindAddress(cmd, f)
	f.StringVar(&o.deltas, "deltas", "", "file with deltas to apply to both SOURCEs, - for standard input")
	f.StringVarP(&o.output, "output", "o", "text", "text, markdown or json")
	f.BoolVar(&o.summary, "summary", false, "only the outcome, its reasons and the numbers, without each change")
	return cmd
}

func runDiff(cmd *cobra.Command, args []string, o *diffOptions) error {
	if err := output.Check(o.output, "text", "markdown", "json"); err != nil {
		return err
	}
	if o.summary && o.output != "text" {
		return fmt.Errorf("diff: use --summary or -o %s, not both", o.output)
	}
	var p *fleet.Preview
	var err error
	if len(args) == 2 {
		p, err = o.compare(cmd.Context(), cmd.InOrStdin(), args[0], args[1])
	} else {
		p, err = o.compareWithServer(cmd.Context(), args[0])
	}
	if err != nil {
		return err
	}
	err = terminal.Page(cmd.OutOrStdout(), func(w io.Writer) error {
		switch o.output {
		case "markdown":
			return preview.PrintMarkdown(w, p)
		case "json":
			return output.JSON(w, p)
		}
		return preview.Print(w, p, o.summary)
	})
	if err != nil {
		return err
	}
	if status := statusOf(p); status != 0 {
		return exitcode.Code(status)
	}
	return nil
}

// statusOf returns the exit status of diff.
func statusOf(p *fleet.Preview) int {
	switch {
	case isFaulty(p):
		return hasFaults
	case p.Outcome == fleet.OutcomeHeld:
		return wouldBeHeld
	case p.Outcome == fleet.OutcomeChanges:
		return changes
	}
	return 0
}

func isFaulty(p *fleet.Preview) bool {
	return p.Outcome == fleet.OutcomeFailed || len(p.Failing)+len(p.Problems.Faults()) > 0
}

// compareWithServer asks a server for the comparison.
func (o *diffOptions) compareWithServer(ctx context.Context, ref string) (*fleet.Preview, error) {
	if o.deltas != "" {
		return nil, errors.New("diff: --deltas is for two SOURCEs; a server uses its own deltas")
	}
	// The certificate flags apply to the server as well as to the source.
	tls := o.source.Options.TLS
	o.server.Config.CAFile, o.server.Config.CertFile, o.server.Config.KeyFile = tls.CAFile, tls.CertFile, tls.KeyFile
	client, err := o.server.Client()
	if err != nil {
		return nil, err
	}
	source, snapshot, refusal, err := o.fetch(ctx, ref)
	if err != nil || refusal != nil {
		return refusal, err
	}
	defer func() { _ = source.Close() }()
	packed, err := archive.PackUpload(ctx, snapshot.Tree)
	if err != nil {
		return nil, err
	}
	p, err := client.PreviewSnapshot(ctx, snapshot.Revision, packed)
	if err != nil {
		return nil, remote.Error(err)
	}
	if about := snapshot.Commit; about != nil { // which the server has not seen
		linked := *about
		if p.Commit != nil {
			linked.URL = p.Commit.URL
		}
		p.Commit = &linked
	}
	return p, nil
}

// fetch fetches a source. For a revision that cannot be a snapshot it returns a preview
// with the fault.
func (o *diffOptions) fetch(ctx context.Context, ref string) (sources.Source, *fleet.Snapshot, *fleet.Preview, error) {
	source, snapshot, err := snapshot(ctx, ref, o.source.Options)
	var refusal *fleet.RefusedError
	if errors.As(err, &refusal) {
		p := &fleet.Preview{Revision: refusal.Revision, Outcome: fleet.OutcomeFailed, Problems: fleet.Problems{refusal.Problem}}
		return nil, nil, p, nil
	}
	return source, snapshot, nil, err
}

// compare compares two sources without a server.
func (o *diffOptions) compare(ctx context.Context, stdin io.Reader, from, to string) (*fleet.Preview, error) {
	var deltas []*fleet.Delta
	if o.deltas != "" {
		var err error
		if deltas, err = document.ReadDeltas(o.deltas, stdin, render.Renderer{}.ReadDelta); err != nil {
			return nil, err
		}
	}
	first, before, refusal, err := o.fetch(ctx, from)
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		return nil, fmt.Errorf("diff: cannot compare with %s: %w", refusal.Revision, refusal.Problems)
	}
	defer func() { _ = first.Close() }()
	second, after, refusal, err := o.fetch(ctx, to)
	if err != nil || refusal != nil {
		return refusal, err
	}
	defer func() { _ = second.Close() }()
	return controller.Compare(ctx, render.Renderer{}, before, after, deltas)
}
