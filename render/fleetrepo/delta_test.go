package fleetrepo_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
)

var update = flag.Bool("update", false, "write the results into testdata")

// TestReadDelta checks what is read of a delta, and the exact words and place of every
// problem. An archive of testdata/deltas has a delta.yaml, and in want.txt the delta as
// indented JSON, or its problems.
func TestReadDelta(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/deltas/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := &archive.Files[len(archive.Files)-1]
			if archive.Files[0].Name != "delta.yaml" || want.Name != "want.txt" {
				t.Fatal("want delta.yaml and want.txt")
			}
			got := readDelta(t, archive.Files[0].Data)
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want.Data) {
				t.Errorf("ReadDelta gives\n%s\nwant\n%s", got, want.Data)
			}
		})
	}
}

func readDelta(t *testing.T, document []byte) string {
	t.Helper()
	delta, problems := checkDelta(t, document)
	if delta == nil {
		var b strings.Builder
		for _, p := range problems {
			fmt.Fprintf(&b, "%d: %s\n", p.Line, p)
		}
		return b.String()
	}
	data, err := json.MarshalIndent(delta, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data) + "\n"
}

// checkDelta checks that a delta can be stored: written as JSON, or as YAML by another
// library, it is read as the same. The delta is nil for a document that is refused, which
// has problems then.
func checkDelta(t *testing.T, document []byte) (*fleet.Delta, fleet.Problems) {
	t.Helper()
	delta, err := fleetrepo.ReadDelta(document)
	if err != nil {
		var problems fleet.Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("error without problems: %#v", err)
		}
		return nil, problems
	}
	stored, err := json.Marshal(delta)
	if err != nil {
		t.Fatal(err)
	}
	var loaded fleet.Delta
	if err := json.Unmarshal(stored, &loaded); err != nil {
		t.Fatal(err)
	}
	exported, err := yaml.JSONToYAML(stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{stored, exported} {
		again, err := fleetrepo.ReadDelta(text)
		if err != nil || !reflect.DeepEqual(again, delta) {
			t.Fatalf("delta = %+v, stored as\n%s\nit is %+v, %v", delta, text, again, err)
		}
	}
	return delta, nil
}

// FuzzDelta checks that any delta that is accepted can be stored.
func FuzzDelta(f *testing.F) {
	archives, _ := filepath.Glob("testdata/deltas/*.txtar")
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(archive.Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, document string) { checkDelta(t, []byte(document)) })
}
