package sources_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// tool returns the path of a program that tests run: the one that the
// environment names (ORAS_CLI for oras), or the one on PATH. A missing tool
// fails the test, because a skipped test would look like one that passes.
func tool(t testing.TB, name string) string {
	t.Helper()
	if path := os.Getenv(strings.ToUpper(name) + "_CLI"); path != "" {
		return path
	}
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("these tests need %s: make test installs it", name)
	return ""
}
