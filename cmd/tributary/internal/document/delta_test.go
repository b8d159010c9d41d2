package document

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

func TestFileIsSplitAtDocumentMarkers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"name: a\n---\nname: b\n":                  {"delta/a:1", "delta/b:3"},
		"---\nname: a\n...\n---\n# nothing\n---\n": {"delta/a:2"},
		"# first\n---\r\ncluster: c\r\n":           {"cluster/c:3"},
		"{\"name\": \"a\"}":                        {"delta/a:1"},
		"name: a\nreason: |\n  ---\n  x\n":         {"delta/a:1"},
		"name: a\n---  \t\ncluster: c":             {"delta/a:1", "cluster/c:3"},
	} {
		docs, err := splitDeltas("f", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		var got []string
		for _, d := range docs {
			got = append(got, d.ID+":"+string(rune('0'+d.Line)))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"", "# nothing\n---\n", "a: b\n", "name: a\ncluster: b\n", "name: a\n---\nname: a\n", "name: [\n", "- a\n"} {
		if docs, err := splitDeltas("f", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("%q: %v, %v, want an error with the file", text, docs, err)
		}
	}
}

// A printed delta must be read back as the same delta, whatever it contains.
func TestPrintedDeltasAreReadBack(t *testing.T) {
	t.Parallel()
	at := time.Date(2199, 1, 2, 3, 4, 5, 0, time.UTC)
	all := []*fleet.Delta{
		{
			Name: "yes", Scope: fleet.Scope{Selector: &fleet.Selector{MatchLabels: map[string]string{"on": "no", "n": "1e3"}}}, Priority: -3, Reason: "a: b # c\n--- \nd", ExpiresAt: &at,
			Components: []string{"components/x"}, Resources: []json.RawMessage{json.RawMessage(`{"apiVersion":"v1","data":{"a":"---\nyes","b":"0x1F"},"kind":"ConfigMap","metadata":{"name":"x"}}`)},
			Patches: []fleet.Patch{{Patch: "- op: remove\n  path: /a\n", Target: &fleet.Target{Kind: "App"}}},
			Edits:   []fleet.Edit{{Kind: "App", Name: "on", Patch: json.RawMessage(`{"spec":{"a":null,"b":1.5,"c":9007199254740991,"d":"2026-01-01","e":{},"f":[]}}`)}},
		},
		{Name: "2", Scope: fleet.Scope{Clusters: []string{"0x1"}}}, {Cluster: "off", Edits: []fleet.Edit{{Kind: "App", Name: "x", Patch: json.RawMessage("null")}}},
	}
	var b strings.Builder
	if err := PrintDeltas(&b, all); err != nil {
		t.Fatal(err)
	}
	again, err := ReadDeltas("-", strings.NewReader(b.String()), render.Renderer{}.ReadDelta)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	got, _ := json.Marshal(again)
	want, _ := json.Marshal(all)
	if string(got) != string(want) {
		t.Errorf("read again:\n%s\nwant\n%s", got, want)
	}
}
