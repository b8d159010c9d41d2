// Package listing prints what a server has: clusters, deltas, inputs, objects, releases, pins,
// tokens and changes. A Kind describes the columns of each once. Tables, -o wide, -o name, JSON,
// YAML, JSONPath and --sort-by follow from that:
//
//	clusters, err := client.Clusters(ctx, "environment=prod")
//	err = listing.Clusters.Print(os.Stdout, listing.Answer[api.Cluster]{Items: clusters}, &listing.Flags{})
package listing

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
	"github.com/tributary-gitops/tributary/server/api"
)

// Kind describes one kind of things.
type Kind[T any] struct {
	Noun    string
	Columns []table.Column[T]
	// Name returns what -o name prints, such as cluster/eu-prod-01.
	Name func(T) string
	// YAML prints things as YAML where that is not their JSON in another form.
	YAML func(io.Writer, []T) error
}

// Answer is what a server answered to a command.
type Answer[T any] struct {
	Items []T
	// One is set for a thing that was asked for by its name: it is printed without a list.
	One bool
	// Document returns the JSON document of the items; nil for the usual one.
	Document func(items []T) any
	// Partial is set where older items drop out of a list that is limited.
	Partial bool
	// Below prints what is said below a table, and Full what is printed instead of a table;
	// nil for nothing.
	Below, Full func(w io.Writer) error
}

// Flags say how things are printed.
type Flags struct {
	output, sortBy string
	noHeaders      bool
	Watch          bool
	format         output.Format
}

// Bind adds the flags to f.
func (f *Flags) Bind(set *pflag.FlagSet) {
	set.StringVarP(&f.output, "output", "o", "", output.Formats+" (default: a table)")
	set.BoolVar(&f.noHeaders, "no-headers", false, "print only the rows of a table")
	set.BoolVarP(&f.Watch, "watch", "w", false, "print the rows that change, until it is interrupted")
	set.StringVar(&f.sortBy, "sort-by", "", "sort by a column, such as age, or by a field of the JSON, such as .release.id")
}

// Check returns an error if a flag cannot be used.
func (f *Flags) Check() (err error) {
	f.format, err = output.ParseFormat(f.output)
	return err
}

func (f *Flags) tableOptions() table.Options {
	return table.Options{Wide: f.format.Name == "wide", NoHeadings: f.noHeaders}
}

// Print prints an answer in the format of the flags, which were checked.
func (k Kind[T]) Print(w io.Writer, a Answer[T], f *Flags) error {
	items, err := k.sorted(a.Items, f.sortBy)
	if err != nil {
		return err
	}
	switch {
	case f.format.IsTable() && a.Full != nil && !f.noHeaders:
		return a.Full(w)
	case f.format.IsTable():
		if err := table.New(w, k.Columns, f.tableOptions()).Print(items...); err != nil || f.noHeaders || a.Below == nil {
			return err
		}
		return a.Below(w)
	case f.format.Name == "name":
		for _, item := range items {
			if _, err := fmt.Fprintln(w, k.Name(item)); err != nil {
				return err
			}
		}
		return nil
	case f.format.Name == "yaml" && k.YAML != nil:
		return k.YAML(w, items)
	}
	return f.format.Print(w, a.document(items))
}

func (a Answer[T]) document(items []T) any {
	switch {
	case a.Document != nil:
		return a.Document(items)
	case a.One && len(items) == 1:
		return items[0]
	}
	return api.List[T]{Items: append([]T{}, items...)}
}

// sorted returns the items in the order of a column or field; "" for the order in which they came.
func (k Kind[T]) sorted(items []T, by string) ([]T, error) {
	if by == "" {
		return items, nil
	}
	for _, c := range k.Columns {
		if strings.EqualFold(c.Title, by) || strings.EqualFold(strings.ReplaceAll(c.Title, " ", "-"), by) {
			return slices.SortedStableFunc(slices.Values(items), c.Compare), nil
		}
	}
	return k.sortedByField(items, by)
}

func (k Kind[T]) sortedByField(items []T, by string) ([]T, error) {
	field, err := output.Path(by)
	if err != nil {
		return nil, fmt.Errorf("--sort-by %q: must be a column, or a field such as .name", by)
	}
	type keyed struct {
		item T
		key  string
	}
	all, anyFound := make([]keyed, len(items)), false
	for i, item := range items {
		key, found, err := field(item)
		if err != nil {
			return nil, err
		}
		all[i], anyFound = keyed{item, key}, anyFound || found
	}
	if !anyFound && len(items) > 0 {
		return nil, fmt.Errorf("--sort-by %q: no %s has that column or field", by, k.Noun)
	}
	slices.SortStableFunc(all, func(a, b keyed) int { return table.CompareText(a.key, b.key) })
	sorted := make([]T, len(all))
	for i := range all {
		sorted[i] = all[i].item
	}
	return sorted, nil
}

// Watcher prints things again when they have changed.
type Watcher[T any] struct {
	kind  Kind[T]
	w     io.Writer
	flags *Flags
	rows  *table.Printer[T]
	known map[string]string // by name: the cells that do not depend on the time
}

// NewWatcher returns a Watcher that prints as the flags say.
func (k Kind[T]) NewWatcher(w io.Writer, f *Flags) (*Watcher[T], error) {
	if f.format.Name == "yaml" && k.YAML != nil {
		return nil, errors.New("--watch: use -o json")
	}
	return &Watcher[T]{k, w, f, table.New(w, k.Columns, f.tableOptions()), map[string]string{}}, nil
}

// Print prints the items that are new or differ from the last call, and names those that are gone.
func (p *Watcher[T]) Print(a Answer[T]) error {
	items, err := p.kind.sorted(a.Items, p.flags.sortBy)
	if err != nil {
		return err
	}
	now, changed := make(map[string]string, len(items)), []T{}
	for _, item := range items {
		name := p.kind.Name(item)
		now[name] = table.State(p.kind.Columns, item)
		if before, known := p.known[name]; !known || before != now[name] {
			changed = append(changed, item)
		}
	}
	if err := p.print(changed); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.known)) {
		if _, there := now[name]; !there && !a.Partial && p.flags.format.IsTable() {
			if _, err := fmt.Fprintln(p.w, name, "is gone"); err != nil {
				return err
			}
		}
	}
	p.known = now
	return nil
}

func (p *Watcher[T]) print(items []T) error {
	if p.flags.format.IsTable() {
		return p.rows.Print(items...)
	}
	for i := range items {
		err := p.kind.Print(p.w, Answer[T]{Items: items[i : i+1], One: true}, &Flags{format: p.flags.format})
		if err != nil {
			return err
		}
	}
	return nil
}

// stateStyle colours the states that need attention, and that of a release that is live.
func stateStyle(state string) terminal.Style {
	switch state {
	case "failed", "rejected", string(api.ContactLate):
		return terminal.Red
	case "held", "orphaned", "decommissioned", "rolling out":
		return terminal.Yellow
	case "live":
		return terminal.Green
	}
	return ""
}

// alert is the style of a number that should be 0.
func alert(n int) terminal.Style {
	if n > 0 {
		return terminal.Red
	}
	return ""
}
