package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// size holds the costs of a fleet of some number of clusters, by metric.
type size struct {
	clusters int
	costs    map[string]float64
}

// cost is a metric of BenchmarkGrowth.
type cost struct{ metric, name, unit, each string }

var costs = []cost{
	{"base-s", "commit to the base", "s", "µs"},
	{"one-ms", "commit to one cluster", "ms", "µs"},
	{"start-s", "start", "s", "µs"},
	{"MB", "resident memory", "MB", "bytes"},
}

// small converts a cost to the unit of the cost of one cluster.
func (c cost) small(v float64) float64 {
	if c.unit == "ms" {
		return v * 1e3
	}
	return v * 1e6
}

func growth(all []result) (sizes []size) {
	for _, r := range all {
		text, ok := strings.CutPrefix(r.name, "Growth/clusters=")
		if n, err := strconv.Atoi(text); ok && err == nil {
			sizes = append(sizes, size{n, r.values})
		}
	}
	slices.SortFunc(sizes, func(a, b size) int { return cmp.Compare(a.clusters, b.clusters) })
	return sizes
}

// growthTable shows the costs of each size, and what each further cluster costs from one
// size to the next. Growth is linear if that is the same each time. Costs that do not
// depend on the size, such as building stacks, do not affect it.
func growthTable(sizes []size) []byte {
	if len(sizes) < 2 {
		return nil
	}
	var out bytes.Buffer
	out.WriteString("\n| growth |")
	for i, s := range sizes {
		if fmt.Fprintf(&out, " %s clusters |", number(float64(s.clusters))); i > 0 {
			out.WriteString(" each further one |")
		}
	}
	out.WriteString(" must reach | met |\n|---|" + strings.Repeat("---|", 2*len(sizes)+1) + "\n")
	for _, c := range costs {
		fmt.Fprintln(&out, c.row(sizes))
	}
	out.WriteString("\n![growth](growth.svg)\n")
	return out.Bytes()
}

func (c cost) row(sizes []size) string {
	row := "| " + c.name + " |"
	var slopes []float64
	for i, s := range sizes {
		row += fmt.Sprintf(" %s %s |", number(s.costs[c.metric]), c.unit)
		if i > 0 {
			slopes = append(slopes, c.slope(sizes[i-1], s))
			row += fmt.Sprintf(" %s %s |", number(slopes[i-1]), c.each)
		}
	}
	if c.linear(sizes) {
		return row + " linear within 20 % | yes |"
	}
	return row + " linear within 20 % | no |"
}

// slope returns the cost of each further cluster from one size to a larger one.
func (c cost) slope(from, to size) float64 {
	return c.small(to.costs[c.metric]-from.costs[c.metric]) / float64(to.clusters-from.clusters)
}

// linear reports whether the largest fleet costs at most a fifth more than a straight line
// through the two smaller ones predicts. It may cost less.
func (c cost) linear(sizes []size) bool {
	if len(sizes) < 3 {
		return true
	}
	before, last := sizes[len(sizes)-3:len(sizes)-1], sizes[len(sizes)-1]
	line := c.slope(before[0], before[1])*float64(last.clusters-before[1].clusters) + c.small(before[1].costs[c.metric])
	return c.small(last.costs[c.metric]) <= 1.2*line
}
