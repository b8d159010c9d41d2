package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/progress"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/report"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/push"
)

type pushOptions struct {
	registry       flags.Source
	tags           []string
	annotations    []string
	source         string
	revision       string
	created        string
	skipValidation bool
	listIgnored    bool
	output         string
}

func newPush() *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:   "push DIR oci://REGISTRY/REPOSITORY:TAG",
		Short: "Publish a fleet repo as an OCI artifact",
		Long: `Checks every cluster as validate does, and pushes the directory to a registry as an
artifact that tributary, oras pull and Flux's OCIRepository can read. The same files and
annotations give the same digest on any machine, and layers that the registry already
has are not sent again.

A symbolic link becomes a copy of its target, because Flux leaves out links. A link out
of the directory is an error.

Files that .sourceignore names are left out, and those that Flux leaves out by default,
such as images. So is what Git ignores, because it may be a secret. --list-ignored lists
all of them. If the directory is in a Git checkout, git must be installed; elsewhere, the
.gitignore files in the directory count.

The annotations come from the checkout: source is the URL of the remote origin without credentials, revision is the
branch and commit as Flux writes them (or the tag, if only a tag is checked out), and
created is the time of the commit. If files differ from the commit, revision ends in
-dirty and created is left out. SOURCE_DATE_EPOCH is the default of --created.

Credentials are those of docker login, or of --registry-config.`,
		Example: `  tributary push . oci://ghcr.io/acme/fleet:v1.2.0
  tributary push ./fleet oci://ghcr.io/acme/fleet:$(git rev-parse --short HEAD) --tag main --tag latest
  cosign sign --key cosign.key $(tributary push . oci://ghcr.io/acme/fleet:v1.2.0)
  tributary push . oci://127.0.0.1:5000/fleet:dev --plain-http -o json | jq -r .digest

It prints the artifact with its digest. Exit status is 0, or 1 if nothing was pushed or a
tag could not be set.`,
		Args: named("DIR", "target, oci://REGISTRY/REPOSITORY:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPush(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], args[1], o)
		},
	}
	f := cmd.Flags()
	f.Var(flags.Names(&o.tags), "tag", "additional tag (may be repeated)")
	f.StringVar(&o.source, "source", "", "value of the annotation source (default: the remote origin of the checkout)")
	f.StringVar(&o.revision, "revision", "", "value of the annotation revision, such as main@sha1:<commit> (default: that of the checkout)")
	f.StringVar(&o.created, "created", "", "value of the annotation created (RFC 3339; default: the time of the commit)")
	f.StringArrayVar(&o.annotations, "annotation", nil, "additional annotation, name=value (may be repeated)")
	f.BoolVar(&o.skipValidation, "skip-validation", false, "push without checking the fleet repo")
	f.BoolVar(&o.listIgnored, "list-ignored", false, "list the ignored files and directories, which are not pushed, on standard error")
	f.StringVarP(&o.output, "output", "o", "text", "text or json")
	o.registry.BindRegistry(f)
	return cmd
}

func runPush(ctx context.Context, w, stderr io.Writer, dir, target string, o pushOptions) error {
	if err := output.Check(o.output, "text", "json"); err != nil {
		return err
	}
	options, err := o.options()
	if err != nil {
		return err
	}
	if !o.skipValidation {
		options.Check = func(ctx context.Context, snapshot *fleet.Snapshot) error {
			return checkPush(ctx, w, stderr, snapshot, o)
		}
	}
	line := progress.New(stderr)
	options.Progress = func(done, total int64) {
		line.Show("%.1f of %.1f MiB", float64(done)/(1<<20), float64(total)/(1<<20))
	}
	pushed, err := push.Push(ctx, dir, target, options)
	line.Clear()
	var refused *fleet.RefusedError
	if errors.As(err, &refused) {
		return report.Print(w, report.Report{Revision: refused.Revision, Problems: fleet.Problems{refused.Problem}}, o.output)
	} else if err != nil {
		return err
	}
	return printPushed(w, stderr, dir, pushed, o)
}

func (o pushOptions) options() (push.Options, error) {
	p := push.Options{Options: o.registry.Options, Tags: o.tags, Source: o.source, Revision: o.revision}
	for _, written := range o.annotations {
		name, value, ok := strings.Cut(written, "=")
		if !ok {
			return p, fmt.Errorf("--annotation %q: must be name=value", written)
		}
		if p.Annotations == nil {
			p.Annotations = map[string]string{}
		}
		p.Annotations[name] = value
	}
	var err error
	p.Created, err = flags.Created(o.created)
	return p, err
}

// checkPush validates the fleet before the push. If that fails, the report is the output.
// Otherwise warnings go to stderr.
func checkPush(ctx context.Context, w, stderr io.Writer, snapshot *fleet.Snapshot, o pushOptions) error {
	r, err := checkFleet(ctx, stderr, snapshot)
	if err != nil {
		return err
	}
	if len(r.Problems.Faults()) > 0 {
		return report.Print(w, r, o.output)
	}
	for _, p := range r.Problems.Group() {
		fmt.Fprintln(stderr, "tributary: warning:", p)
	}
	return nil
}

func printPushed(w, stderr io.Writer, dir string, p push.Result, o pushOptions) error {
	if o.listIgnored {
		for _, name := range p.Ignored {
			fmt.Fprintln(stderr, "tributary: ignored:", name)
		}
	}
	for _, fault := range p.Unusable {
		fmt.Fprintf(stderr, "tributary: warning: %s; it is not in the artifact\n", fault)
	}
	switch {
	case p.Warning != "":
		fmt.Fprintf(stderr, "tributary: warning: %s; the artifact does not record where it comes from; use --source and --revision\n", p.Warning)
	case p.Source == "" && p.Revision == "":
		fmt.Fprintf(stderr, "tributary: warning: %s is not in a commit of a Git checkout, so the artifact does not record where it comes from; use --source and --revision\n", dir)
	case len(p.Differ) > 0:
		fmt.Fprintln(stderr, "tributary: warning:", dirty(p, o))
	}
	if o.output == "json" {
		return output.JSON(w, p)
	}
	_, err := fmt.Fprintln(w, p.Reference)
	return err
}

func dirty(p push.Result, o pushOptions) string {
	text := p.Differ[0] + " differs"
	if others := len(p.Differ) - 1; others > 0 {
		text = fmt.Sprintf("%s and %d more differ", p.Differ[0], others)
	}
	text += " from the checked-out commit"
	if o.revision == "" {
		text += ", so the revision is " + p.Revision
	}
	return text
}
