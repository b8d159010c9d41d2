// Package result prints the result of a write: the inputs that changed, as a diff, and
// the generation.
//
//	r, err := client.PutDelta(ctx, options, id, document)
//	err = result.Print(os.Stdout, r)
package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/preview"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textdiff"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
)

// maxNames limits how many clusters are named for one difference.
const maxNames = 5

// Print prints a result for a terminal. A difference that several clusters share is
// printed once.
func Print(w io.Writer, r *fleet.Result) error {
	groups, err := groupChanges(r.Changes)
	if err != nil {
		return err
	}
	d := textdiff.New(w)
	for _, g := range groups {
		d.PrintHunks(g.input+" in "+textfmt.List(g.clusters, maxNames), g.isNew, g.isGone, g.hunks)
		fmt.Fprintln(w)
	}
	printEnd(w, r)
	return nil
}

// printEnd prints what changes for those who poll by a dns or poll a list of clusters, and the outcome.
func printEnd(w io.Writer, r *fleet.Result) {
	for _, line := range preview.Around(r) {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w, outcome(r))
}

// PrintEmptied prints how many inputs are removed from each set. All of them are, so a diff would
// not say more.
func PrintEmptied(w io.Writer, r *fleet.Result) error {
	gone := map[string]int{}
	var sets []string
	for _, c := range r.Changes {
		if gone[c.Set]++; gone[c.Set] == 1 {
			sets = append(sets, c.Set)
		}
	}
	for _, set := range sets {
		fmt.Fprintf(w, "%s: all %s\n", set, textfmt.Count(gone[set], "input"))
	}
	printEnd(w, r)
	return nil
}

// outcome says in one line whether the change was kept, at which generation, and how much
// it changed.
func outcome(r *fleet.Result) string {
	clusters := map[string]bool{}
	for _, c := range r.Changes {
		clusters[c.Cluster] = true
	}
	scale := fmt.Sprintf("%s in %s", textfmt.Count(len(r.Changes), "input"), textfmt.Count(len(clusters), "cluster"))
	if len(r.Changes) == 0 {
		scale = "no input"
	}
	removed := ""
	switch {
	case r.Removed == 0:
	case r.DryRun:
		removed = fmt.Sprintf(", and %d of them would be removed", r.Removed)
	case r.Removed == 1:
		removed = ", and 1 of them is removed: Flux deletes what it made of it"
	default:
		removed = fmt.Sprintf(", and %d of them are removed: Flux deletes what it made of them", r.Removed)
	}
	if r.DryRun {
		return fmt.Sprintf("dry run: %s would change%s; nothing was kept, and the generation is still %d", scale, removed, r.Generation)
	}
	return fmt.Sprintf("generation %d: %s changed%s", r.Generation, scale, removed)
}

// group is a difference that the inputs of one set and ID share in several clusters.
type group struct {
	input         string // set/id
	isNew, isGone bool
	hunks         string
	clusters      []string
}

// groupChanges keeps the order of first appearance.
func groupChanges(changes []fleet.InputChange) ([]*group, error) {
	type key struct {
		set, id       string
		isNew, isGone bool
		hunks         string
	}
	var groups []*group
	known := map[key]*group{}
	for _, c := range changes {
		before, err := inputText(c.Before, c.After)
		if err != nil {
			return nil, err
		}
		after, err := inputText(c.After, c.Before)
		if err != nil {
			return nil, err
		}
		k := key{c.Set, c.ID, before == "", after == "", textdiff.Hunks(before, after)}
		g := known[k]
		if g == nil {
			g = &group{input: c.Set + "/" + c.ID, isNew: k.isNew, isGone: k.isGone, hunks: k.hunks}
			groups, known[k] = append(groups, g), g
		}
		g.clusters = append(g.clusters, c.Cluster)
	}
	return groups, nil
}

// inputText returns an input as YAML. It leaves out the field cluster unless that field
// differs, so that inputs of different clusters can be equal.
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
