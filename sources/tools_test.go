package sources_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// tool is the path of a program that tests run against: what the environment
// names (ORAS_CLI for oras), or the one on PATH. A tool that is missing fails
// the test, because a skipped test would pass for one that holds.
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
