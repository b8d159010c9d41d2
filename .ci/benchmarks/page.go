package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

const (
	begin = "<!-- made by make bench: begin -->\n"
	end   = "<!-- made by make bench: end -->\n"
)

// rewrite replaces the text between the markers of a file.
func rewrite(file string, with []byte) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s: lacks the lines\n%s%s", file, begin, end)
	}
	return os.WriteFile(file, []byte(head+begin+string(with)+end+tail), 0o644)
}

// page returns the generated part of the page: the machines and the tables.
func page(all []result) []byte {
	var out bytes.Buffer
	for _, m := range machines(all) {
		fmt.Fprintf(&out, "%s\n", m)
	}
	out.WriteString("\n| figure | peer in the same run | measured | must reach | met |\n|---|---|---|---|---|\n")
	for _, f := range figures {
		if values := f.values(all); len(values) > 0 {
			fmt.Fprintln(&out, f.row(values))
		}
	}
	out.Write(growthTable(growth(all)))
	return out.Bytes()
}

// row shows the median, and the range if there are several values.
func (f figure) row(values []float64) string {
	v := values[len(values)/2]
	measured, met := f.show(v), ""
	if len(values) > 1 {
		measured += fmt.Sprintf(" (%s–%s)", number(values[0]), number(values[len(values)-1]))
	}
	if f.target() != "" {
		met = map[bool]string{true: "yes", false: "no"}[f.met(v)]
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |", f.name, f.peer, measured, f.target(), met)
}

// machines returns a line for each machine and day.
func machines(all []result) (lines []string) {
	said := map[string]bool{}
	for _, r := range all {
		at := map[string]string{}
		for _, s := range r.config {
			at[s.key] = s.value
		}
		line := fmt.Sprintf("Measured on %s: %s cores (%s), %s, %s.", at["date"], at["cores"], at["cpu"], at["kernel"], at["go"])
		if !said[line] {
			said[line] = true
			lines = append(lines, line)
		}
	}
	return lines
}
