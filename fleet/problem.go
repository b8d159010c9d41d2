package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a fleet repo or a document: where it is, what it is,
// and what to do about it.
type Problem struct {
	// File is relative to the root of the fleet repo; empty where no single file is the cause.
	File string `json:"file,omitempty"`
	// Line counts from 1; 0 where it is unknown.
	Line int `json:"line,omitempty"`
	// Column counts characters from 1 where the text itself is at fault, such as a tab or a
	// repeated key; 0 where the line says enough.
	Column int `json:"column,omitempty"`
	// Field is the path of the field in the document, such as `spec.patches[0].target`.
	Field string `json:"field,omitempty"`
	// Cluster is the cluster that the problem concerns; empty where it concerns the fleet.
	Cluster string `json:"cluster,omitempty"`
	// Concerns names the clusters that a fault of a shared file concerns, the first ones of many, for
	// people: "a, b, c and 7 more". It is empty where that is one cluster, or unknown.
	Concerns string `json:"clusters,omitempty"`
	// Delta is the ID of the delta that has the field; empty where a file has it.
	Delta string `json:"delta,omitempty"`
	// Message says what is wrong and what to do.
	Message string `json:"message"`
	// Warning is true where the fleet can be served nevertheless.
	Warning bool `json:"warning,omitempty"`
}

// String returns `file:line:column: field: message`, without the parts that are unknown, and with the
// cluster and the delta where there are any.
func (p Problem) String() string {
	if p.Cluster == "" {
		return p.text("")
	}
	return p.text(fmt.Sprintf("cluster %q: ", p.Cluster))
}

// text returns the problem in a line, in which clusters names those that it concerns.
func (p Problem) text(clusters string) string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
		b.WriteString(": ")
	}
	b.WriteString(clusters)
	if name, named := strings.CutPrefix(p.Delta, DeltaID("")); named {
		fmt.Fprintf(&b, "delta %q: ", name)
	} else if p.Delta != "" {
		b.WriteString("its own delta: ")
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems is everything that is wrong, at once. As an error it is an ErrInvalid.
type Problems []Problem

// Error returns one line for each problem, and for the same problem of several clusters.
func (ps Problems) Error() string {
	groups := ps.Group()
	lines := make([]string, len(groups))
	for i, g := range groups {
		lines[i] = g.String()
	}
	return strings.Join(lines, "\n")
}

// ProblemGroup is a problem that several clusters share. Its Cluster is that of the first.
type ProblemGroup struct {
	Problem
	// Clusters are all that it concerns; empty where it concerns the fleet.
	Clusters []string
}

// Group returns each problem once, with its clusters, in the order in which they come first.
func (ps Problems) Group() []ProblemGroup {
	var groups []ProblemGroup
	places := map[Problem]int{}
	for _, p := range ps {
		shared := p
		shared.Cluster = ""
		at, known := places[shared]
		if !known || p.Cluster == "" || len(groups[at].Clusters) == 0 {
			at, groups = len(groups), append(groups, ProblemGroup{Problem: p})
			places[shared] = at
		}
		if p.Cluster != "" {
			groups[at].Clusters = append(groups[at].Clusters, p.Cluster)
		}
	}
	return groups
}

// maxClusters is how many clusters a line names.
const maxClusters = 5

// String returns the line of the problem, with the first of its clusters and the number of the others.
func (g ProblemGroup) String() string {
	if len(g.Clusters) < 2 {
		return g.Problem.String()
	}
	named, more := g.Clusters, ""
	if n := len(named) - maxClusters; n > 1 { // "and 1 more" is no shorter than a name
		named, more = named[:maxClusters], fmt.Sprintf(" and %d more", n)
	}
	quoted := make([]string, len(named))
	for i, name := range named {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return g.text("clusters " + strings.Join(quoted, ", ") + more + ": ")
}

// Is makes errors.Is(ps, ErrInvalid) true.
func (Problems) Is(target error) bool { return target == ErrInvalid }

// Faults returns the problems that keep a snapshot from being served.
func (ps Problems) Faults() Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool { return p.Warning })
}

// Warnings returns the problems that do not keep a snapshot from being served.
func (ps Problems) Warnings() Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool { return !p.Warning })
}

// Concern returns the problem of a shared file with the names of the clusters that it concerns.
func (p Problem) Concern(clusters []string) Problem {
	const most = 5
	slices.Sort(clusters)
	clusters = slices.Compact(clusters)
	p.Concerns = strings.Join(clusters[:min(len(clusters), most)], ", ")
	if more := len(clusters) - most; more > 0 {
		p.Concerns += fmt.Sprintf(" and %d more", more)
	}
	return p
}

// Sort orders problems by file, line, cluster, delta and field, and drops duplicates: of those
// that differ only in Concerns, it keeps one that has them. The same problems always sort to
// the same list.
func (ps Problems) Sort() Problems {
	slices.SortFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Cluster, b.Cluster),
			cmp.Compare(a.Delta, b.Delta),
			cmp.Compare(a.Field, b.Field),
			cmp.Compare(a.Message, b.Message),
			cmp.Compare(b.Concerns, a.Concerns),
		)
	})
	return slices.CompactFunc(ps, func(a, b Problem) bool {
		b.Concerns = a.Concerns
		return a == b
	})
}
