package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFleetIsWrittenIntoAnEmptyDirectoryOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	generate := func() error {
		cmd := newGenerate()
		cmd.SetArgs([]string{dir, "--clusters", "3", "--stacks", "3"})
		return cmd.Execute()
	}
	if err := generate(); err != nil {
		t.Fatal(err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "clusters", "*", "*.yaml")); err != nil || len(files) != 3 {
		t.Errorf("%d cluster files (%v), want 3", len(files), err)
	}
	kept := filepath.Join(dir, "fleet.yaml")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := generate(); err == nil {
		t.Error("the directory of a fleet is written to again")
	}
	if text, err := os.ReadFile(kept); err != nil || len(text) > 0 {
		t.Errorf("fleet.yaml was overwritten (%v)", err)
	}
}
