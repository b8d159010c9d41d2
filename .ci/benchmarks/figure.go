package main

import (
	"fmt"
	"math"
	"slices"
)

// figure is a row of the table: one metric of a benchmark and its bounds, 0 for none.
type figure struct {
	name, peer        string // what is measured, and what it is compared with
	benchmark, metric string
	shown             string // with %s for the value
	least, most       float64
}

func (f figure) met(v float64) bool { return v >= f.least && (f.most == 0 || v <= f.most) }

// target returns the bound as text; "" for none.
func (f figure) target() string {
	switch {
	case f.most != 0:
		return "at most " + f.show(f.most)
	case f.least != 0:
		return "at least " + f.show(f.least)
	}
	return ""
}

func (f figure) show(v float64) string { return fmt.Sprintf(f.shown, number(v)) }

// number formats a number with three significant digits, and commas.
func number(v float64) string {
	if v >= 1_000 {
		n := int64(math.Round(v))
		if n >= 1_000_000 {
			return fmt.Sprintf("%d,%03d,%03d", n/1_000_000, n/1_000%1_000, n%1_000)
		}
		return fmt.Sprintf("%d,%03d", n/1_000, n%1_000)
	}
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// values returns the measurements of the figure's benchmark, sorted.
func (f figure) values(all []result) (found []float64) {
	for _, r := range all {
		if v, ok := r.values[f.metric]; ok && r.name == f.benchmark {
			found = append(found, v)
		}
	}
	slices.Sort(found)
	return found
}
