package main

import (
	"flag"
	"os"
	"testing"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/reference"
)

var update = flag.Bool("update", false, "write the generated files")

// TestReferenceOfCommandsIsCurrent compares the reference page with the commands. With
// -update it writes the page.
func TestReferenceOfCommandsIsCurrent(t *testing.T) {
	t.Parallel()
	const file = "../../docs/reference/cli.md"
	page := reference.Page(newRoot())
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != page {
		t.Errorf("%s does not match the commands; run make reference", file)
	}
}
