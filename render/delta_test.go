package render_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

// TestReadDelta holds what is read of a delta, and every fault of one to its
// exact words and place. An archive of testdata/deltas is a delta.yaml; want.txt
// has the delta as JSON, indented for people, or its problems.
func TestReadDelta(t *testing.T) {
	archives, err := filepath.Glob("testdata/deltas/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var document, want []byte
			for _, f := range archive.Files {
				switch f.Name {
				case "delta.yaml":
					document = f.Data
				case wantFile:
					want = f.Data
				}
			}
			got := readDelta(t, document)
			if *update {
				rewrite(t, name, archive, got)
			} else if got != string(want) {
				t.Errorf("ReadDelta gives\n%s\nwant\n%s", got, want)
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

// checkDelta holds that a delta survives being kept: written as JSON, or as YAML
// by another library, it is read as the same. The delta is nil for a document that
// is refused, which has problems then.
func checkDelta(t *testing.T, document []byte) (*fleet.Delta, fleet.Problems) {
	t.Helper()
	delta, err := render.Renderer{}.ReadDelta(document)
	if err != nil {
		var problems fleet.Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("error without problems: %#v", err)
		}
		return nil, problems
	}
	kept, err := json.Marshal(delta)
	if err != nil {
		t.Fatal(err)
	}
	var loaded fleet.Delta
	if err := json.Unmarshal(kept, &loaded); err != nil {
		t.Fatal(err)
	}
	exported, err := yaml.JSONToYAML(kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{kept, exported} {
		again, err := render.Renderer{}.ReadDelta(text)
		if err != nil || !reflect.DeepEqual(again, delta) {
			t.Fatalf("delta = %+v, kept as\n%s\nit is %+v, %v", delta, text, again, err)
		}
	}
	return delta, nil
}

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
