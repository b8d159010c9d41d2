package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestFleetRepoOfREADMEWorksAsTyped runs the shell block of the README's fleet repo in an
// empty directory and compares what it prints with the block that follows.
func TestFleetRepoOfREADMEWorksAsTyped(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## A fleet repo\n")
	blocks := strings.Split(section, "\n```")
	if len(blocks) < 4 || !strings.HasPrefix(blocks[1], "sh\n") {
		t.Fatal("the section has no shell block followed by its output")
	}
	cmd := exec.Command("sh", "-e")
	cmd.Dir = t.TempDir()
	cmd.Stdin = strings.NewReader(strings.TrimPrefix(blocks[1], "sh\n"))
	got, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	want := regexp.QuoteMeta(strings.TrimSpace(blocks[3]))
	if !regexp.MustCompile("^" + strings.ReplaceAll(want, "…", ".*") + "\n$").Match(got) {
		t.Errorf("printed\n%s\nthe README shows\n%s", got, blocks[3])
	}
}
