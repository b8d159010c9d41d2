package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

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
		fmt.Fprintln(cmd.ErrOrStderr(), "tributary: warning:", visible(warning))
	}
	if f.output == "json" {
		return printJSON(w, r)
	}
	groups, err := groupChanges(r.Changes)
	if err != nil {
		return err
	}
	d := newDiffPrinter(w)
	for _, g := range groups {
		d.printHunks(g.input+" in "+some(g.clusters, 5), g.isNew, g.isGone, g.hunks)
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, outcome(r))
	return nil
}

// outcome is the last line: whether the change was kept, and where.
func outcome(r *fleet.Result) string {
	changed := map[string]bool{}
	for _, c := range r.Changes {
		changed[c.Cluster] = true
	}
	scale := fmt.Sprintf("%s in %s", count(len(r.Changes), "input"), count(len(changed), "cluster"))
	if len(r.Changes) == 0 {
		scale = "no input"
	}
	if r.DryRun {
		return fmt.Sprintf("dry run: %s would change; nothing was kept, and the generation is still %d", scale, r.Generation)
	}
	return fmt.Sprintf("generation %d: %s changed", r.Generation, scale)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// changeGroup is a change that several clusters' inputs of one set and id have in
// common, so that a person reads it once.
type changeGroup struct {
	input         string // set/id
	isNew, isGone bool
	hunks         string
	clusters      []string
}

// groupChanges keeps the order of first appearance.
func groupChanges(changes []fleet.InputChange) ([]*changeGroup, error) {
	var groups []*changeGroup
	known := map[changeKey]*changeGroup{}
	for _, c := range changes {
		before, err := inputText(c.Before, c.After)
		if err != nil {
			return nil, err
		}
		after, err := inputText(c.After, c.Before)
		if err != nil {
			return nil, err
		}
		key := changeKey{c.Set, c.ID, before == "", after == "", hunks(before, after)}
		g := known[key]
		if g == nil {
			g = &changeGroup{input: c.Set + "/" + c.ID, isNew: key.isNew, isGone: key.isGone, hunks: key.hunks}
			groups, known[key] = append(groups, g), g
		}
		g.clusters = append(g.clusters, c.Cluster)
	}
	return groups, nil
}

type changeKey struct {
	set, id       string
	isNew, isGone bool
	hunks         string
}

// inputText is an input as YAML, without what it says of its cluster: that is the
// same on both sides, and would make what clusters have in common look different.
func inputText(input, other json.RawMessage) (string, error) {
	if len(input) == 0 {
		return "", nil
	}
	var fields, others map[string]json.RawMessage
	if err := json.Unmarshal(input, &fields); err != nil {
		return "", err
	}
	if len(other) > 0 {
		if err := json.Unmarshal(other, &others); err != nil {
			return "", err
		}
	}
	if others == nil || bytes.Equal(fields["cluster"], others["cluster"]) {
		delete(fields, "cluster")
	}
	text, err := yaml.Marshal(fields)
	return string(text), err
}

// say prints a line of text that is no part of a result in JSON.
func (f *writeFlags) say(w io.Writer, line string) {
	if f.output == "text" {
		fmt.Fprintln(w, line)
	}
}
