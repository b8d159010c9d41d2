// Command benchmarks records the output of `go test -bench` in docs/. benchmarks.txt holds
// the last run of each benchmark in Go's format, with the machine and the day.
// benchmarks.md and growth.svg show the results. A run of some benchmarks keeps the
// results of the others.
//
//	go test -run '^$' -bench . ./... | go run ./.ci/benchmarks docs
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: benchmarks DOCS <output of go test -bench")
	}
	printed, err := parse(in)
	if err != nil {
		return err
	}
	if len(printed) == 0 {
		return fmt.Errorf("no benchmark ran")
	}
	here, err := machine()
	if err != nil {
		return err
	}
	for i := range printed {
		printed[i].config = here
	}
	return record(args[0], printed)
}

// record updates the files with new results.
func record(docs string, printed []result) error {
	raw := filepath.Join(docs, "benchmarks.txt")
	earlier, err := os.Open(raw)
	var all []result
	switch {
	case os.IsNotExist(err):
	case err != nil:
		return err
	default:
		defer func() { _ = earlier.Close() }()
		if all, err = parse(earlier); err != nil {
			return err
		}
	}
	all = replaced(all, printed)
	if err := os.WriteFile(raw, format(all), 0o644); err != nil {
		return err
	}
	if err := rewrite(filepath.Join(docs, "benchmarks.md"), page(all)); err != nil {
		return err
	}
	if drawn := plot(growth(all)); drawn != nil {
		return os.WriteFile(filepath.Join(docs, "growth.svg"), drawn, 0o644)
	}
	return nil
}
