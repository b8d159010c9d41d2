// Package compare finds and prints how two clusters differ.
//
//	differences, err := compare.Clusters(ctx, client, "eu-prod-01", "eu-prod-02")
//	compare.Print(os.Stdout, differences)
package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textdiff"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

// Difference is something that differs between two clusters.
type Difference struct {
	// What is "cluster" for what the clusters are themselves, or else SET/ID.
	What string `json:"what"`
	// OnlyIn is the cluster that alone has it; "" if both have it.
	OnlyIn string `json:"onlyIn,omitempty"`
	// Before and After are what the two have, as YAML; empty for nothing.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// side is what one cluster has, as YAML, by what it is.
type side struct {
	name  string
	parts map[string]string
}

// Clusters returns how the second of two clusters, given by name or dns, differs from the first:
// in labels, placement and release, and in inputs.
func Clusters(ctx context.Context, c *client.Client, first, second string) ([]Difference, error) {
	a, err := read(ctx, c, first)
	if err != nil {
		return nil, err
	}
	b, err := read(ctx, c, second)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, parts := range []map[string]string{a.parts, b.parts} {
		for what := range parts {
			all[what] = true
		}
	}
	differences := []Difference{}
	for _, what := range slices.Sorted(maps.Keys(all)) {
		d := Difference{What: what, Before: a.parts[what], After: b.parts[what]}
		switch {
		case d.Before == d.After:
			continue
		case d.Before == "":
			d.OnlyIn = b.name
		case d.After == "":
			d.OnlyIn = a.name
		}
		differences = append(differences, d)
	}
	return differences, nil
}

func read(ctx context.Context, c *client.Client, name string) (s side, err error) {
	cluster, err := c.Cluster(ctx, name)
	if err != nil {
		return s, err
	}
	s = side{cluster.Name, map[string]string{}}
	if err := s.add("cluster", about(cluster)); err != nil {
		return s, err
	}
	for set := range cluster.Inputs {
		text, err := c.Inputs(ctx, cluster.Name, set)
		if err != nil {
			return s, err
		}
		var answer struct{ Inputs []map[string]any }
		if err := json.Unmarshal(text, &answer); err != nil {
			return s, err
		}
		for _, input := range answer.Inputs {
			delete(input, "cluster") // it says whose input it is
			if err := s.add(fmt.Sprintf("%s/%v", set, input["id"]), input); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

func (s side) add(what string, v any) error {
	text, err := yaml.Marshal(v)
	s.parts[what] = string(text)
	return err
}

// about returns what may make inputs differ.
func about(c api.Cluster) any {
	about := map[string]any{"labels": c.Labels, "overlay": c.Placement.Overlay, "release": c.Release.Revision, "state": c.State}
	if len(c.Placement.Components) > 0 {
		about["components"] = c.Placement.Components
	}
	return about
}

// Print prints each difference as a diff.
func Print(w io.Writer, differences []Difference) {
	d := textdiff.New(w)
	for i, difference := range differences {
		if i > 0 {
			fmt.Fprintln(w)
		}
		d.PrintHunks(title(difference), false, false, textdiff.Hunks(difference.Before, difference.After))
	}
}

// PrintSummary names what differs.
func PrintSummary(w io.Writer, differences []Difference) {
	for _, d := range differences {
		fmt.Fprintln(w, title(d))
	}
}

func title(d Difference) string {
	if d.OnlyIn != "" {
		return d.What + " (only in " + d.OnlyIn + ")"
	}
	return d.What
}
