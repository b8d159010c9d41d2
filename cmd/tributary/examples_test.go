package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestExamplesOfHelpWorkWithTheExampleFleet runs the examples in the help of commands that read or
// change a fleet against a server of examples/fleet, changes as dry runs. An example that changes
// nothing there names a field, an object or clusters that the fleet does not have.
func TestExamplesOfHelpWorkWithTheExampleFleet(t *testing.T) {
	t.Parallel()
	fleet, err := filepath.Abs("../../examples/fleet")
	if err != nil {
		t.Fatal(err)
	}
	here := t.TempDir() // some examples write files
	if err := os.CopyFS(here, os.DirFS(fleet)); err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, fleet, "--store", "sqlite:"+filepath.Join(t.TempDir(), "store.db"))
	runnable := regexp.MustCompile(`^tributary (get (clusters|inputs|objects)|patch|delete object|decommission \S+ --dry-run|render|validate \.)( |$)`)
	ran := 0
	for _, c := range runnableCommands(newRoot()) {
		for line := range strings.Lines(strings.ReplaceAll(c.Example, "\\\n", "")) {
			if line = strings.TrimSpace(line); !runnable.MatchString(line) || strings.Contains(line, "deltas.yaml") {
				continue
			}
			ran++
			if c.Flags().Lookup("dry-run") != nil {
				line = strings.ReplaceAll(line, " --dry-run", "") + " --dry-run"
			}
			t.Run(line, func(t *testing.T) {
				t.Parallel()
				if out := runShell(t, here, "export TRIBUTARY_SERVER="+p.url+"\n"+line+"\n"); strings.Contains(out, "no input would change") {
					t.Errorf("printed\n%s\nwant a change", out)
				}
			})
		}
	}
	if ran < 10 {
		t.Errorf("%d examples were run, want more", ran)
	}
}
