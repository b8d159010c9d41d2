package document

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestClusterDocumentBecomesTheFieldsOfTheAPI(t *testing.T) {
	t.Parallel()
	fields, err := Cluster([]byte(`
apiVersion: tributary/v1alpha1
kind: Cluster
metadata: {name: edge-7, labels: {environment: dev}}
spec:
  dns: edge-7.example.com
  overlay:
  resources: [{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {on: yes, day: 2026-01-02, n: 9007199254740993}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(fields)
	want := `{"dns":"edge-7.example.com","labels":{"environment":"dev"},"name":"edge-7","resources":[{"apiVersion":"v1","data":` +
		`{"day":"2026-01-02","n":9007199254740993,"on":"yes"},"kind":"ConfigMap","metadata":{"name":"x"}}]}`
	if err != nil || string(got) != want {
		t.Errorf("Cluster = %s, %v\nwant %s", got, err, want)
	}
}

// A document describes the whole cluster: fields that it leaves out are removed.
func TestClusterPatchRemovesWhatTheDocumentLeavesOut(t *testing.T) {
	t.Parallel()
	fields := map[string]any{"name": "edge-7", "dns": "edge-7.example.com", "labels": map[string]any{"region": "eu"}}
	got, err := ClusterPatch(fields, map[string]string{"region": "us", "gpu": "yes"})
	want := `{"components":null,"dns":"edge-7.example.com","labels":{"gpu":null,"region":"eu"},"overlay":null,"patches":null,"resources":null}`
	if err != nil || string(got) != want {
		t.Errorf("ClusterPatch = %s, %v\nwant %s", got, err, want)
	}
}

func TestClusterDocumentWithUnknownFieldsIsRejected(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		"metadata: {name: a, annotations: {b: c}}":    "metadata.annotations: unknown field",
		"metadata: {name: a}\nstatus: {}":             "status: unknown field",
		"metadata: {name: a}\nspec: {labels: {b: c}}": "spec.labels: belongs in metadata",
		"metadata: {labels: {b: c}}":                  "metadata.name: must name the cluster",
		"metadata: []":                                "cannot unmarshal",
	} {
		if _, err := Cluster([]byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Cluster(%q) = %v, want %q", document, err, want)
		}
	}
}
