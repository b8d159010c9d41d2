package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// result is a line of a benchmark in Go's benchmark format, with its configuration.
type result struct {
	name   string // without Benchmark and the number of processors
	line   string
	values map[string]float64 // by unit
	config []setting
}

// setting is a line such as `cpu: AMD EPYC`.
type setting struct{ key, value string }

var (
	settingLine = regexp.MustCompile(`^([a-z][a-z-]*): (.*)$`)
	resultLine  = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.+)$`)
)

// parse reads results and skips everything else, such as the logs of tests.
func parse(in io.Reader) ([]result, error) {
	var all []result
	var config []setting
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if found := settingLine.FindStringSubmatch(line); found != nil {
			config = with(config, setting{found[1], found[2]})
		} else if found := resultLine.FindStringSubmatch(line); found != nil {
			values, err := readValues(found[2])
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			all = append(all, result{found[1], line, values, config})
		}
	}
	return all, lines.Err()
}

// with returns a copy of a configuration in which a key has another value.
func with(config []setting, s setting) []setting {
	config = slices.Clone(config)
	for i := range config {
		if config[i].key == s.key {
			config[i] = s
			return config
		}
	}
	return append(config, s)
}

func readValues(text string) (map[string]float64, error) {
	values, words := map[string]float64{}, strings.Fields(text)
	if len(words)%2 != 0 {
		return nil, fmt.Errorf("a value has no unit")
	}
	for i := 0; i < len(words); i += 2 {
		v, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			return nil, err
		}
		values[words[i+1]] = v
	}
	return values, nil
}

// replaced returns all results, with newer ones in place of those with the same name. It
// sorts them by name, to keep diffs in Git small.
func replaced(all, newer []result) []result {
	ran := map[string]bool{}
	for _, r := range newer {
		ran[r.name] = true
	}
	all = append(slices.DeleteFunc(slices.Clone(all), func(r result) bool { return ran[r.name] }), newer...)
	slices.SortStableFunc(all, func(a, b result) int { return cmp.Compare(a.name, b.name) })
	return all
}

// format writes results in the format that parse and benchstat read.
func format(all []result) []byte {
	var out bytes.Buffer
	var config []setting
	for _, r := range all {
		if !slices.Equal(config, r.config) {
			config = r.config
			out.WriteByte('\n')
			for _, s := range config {
				fmt.Fprintf(&out, "%s: %s\n", s.key, s.value)
			}
		}
		fmt.Fprintln(&out, r.line)
	}
	return bytes.TrimPrefix(out.Bytes(), []byte("\n"))
}
