package render_test

import (
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
)

// TestNothingIsFetched checks promise 5: whichever way a tree names a file of a server,
// the tree has a fault and the server gets no request. kustomize itself would fetch each
// of these.
func TestNothingIsFetched(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer server.Close()
	for name, k := range map[string]string{
		"resource":              "resources: [all.yaml, URL/x.yaml]",
		"base":                  "resources: [all.yaml, 'URL/acme/base.git?ref=main']",
		"base with git prefix":  "resources: [all.yaml, 'git::URL/acme/base//x']",
		"deprecated bases":      "resources: [all.yaml]\nbases: [URL/acme/base]",
		"other case of the key": "resources: [all.yaml]\nBASES: [URL/acme/base]",
		"upper case scheme":     "resources: [all.yaml, UPPER/x.yaml]",
		"component":             "resources: [all.yaml]\ncomponents: [URL/acme/c]",
		"patch":                 "resources: [all.yaml]\npatches: [{path: URL/p.yaml}]",
		"json patch":            "resources: [all.yaml]\npatchesJson6902: [{path: URL/p.yaml, target: {kind: App, name: a, version: v1}}]",
		"merge patch":           "resources: [all.yaml]\npatchesStrategicMerge: [URL/p.yaml]",
		"merge patch in braces": "resources: [all.yaml]\npatchesStrategicMerge: ['URL/{p.yaml']",
		"generator file":        "resources: [all.yaml]\nconfigMapGenerator: [{name: a, files: ['k=URL/f']}]",
		"generator env":         "resources: [all.yaml]\nsecretGenerator: [{name: a, env: URL/f}]",
		"replacement":           "resources: [all.yaml]\nreplacements: [{path: URL/r.yaml}]",
		"configuration":         "resources: [all.yaml]\nconfigurations: [URL/c.yaml]",
		"crd":                   "resources: [all.yaml]\ncrds: [URL/crd.json]",
		"transformer":           "resources: [all.yaml]\ntransformers: [URL/t.yaml]",
		"inline transformer":    "resources: [all.yaml]\ntransformers:\n- |-\n  {apiVersion: builtin, kind: PatchTransformer, metadata: {name: x}, target: {kind: App}, Path: URL/p.yaml}",
		"inline generator":      "resources: [all.yaml]\ngenerators:\n- |-\n  {apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: x}, FILES: ['k=URL/f']}",
		"alias in a generator":  "resources: [all.yaml]\ngenerators:\n- |-\n  {apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: x, annotations: {u: &u 'URL/f'}}, files: [*u]}",
		"validator":             "resources: [all.yaml]\nvalidators: [URL/v.yaml]",
		"helm":                  "resources: [all.yaml]\nhelmCharts: [{name: x, repo: URL}]",
		"openapi":               "resources: [all.yaml]\nopenapi: {path: URL/s.json}",
	} {
		t.Run(name, func(t *testing.T) {
			tree := small(apps(1, "a: b"))
			k = strings.NewReplacer("UPPER", strings.Replace(server.URL, "http", "HTTP", 1), "URL", server.URL).Replace(k)
			// The tree has files of the same names. kustomize would still ask the server.
			for _, file := range []string{"x.yaml", "p.yaml", "f", "r.yaml", "c.yaml", "crd.json", "t.yaml", "v.yaml", "acme/base/kustomization.yaml"} {
				tree[path.Join("base", server.URL, file)] = tree["base/all.yaml"]
			}
			tree["base/kustomization.yaml"] = &fstest.MapFile{Data: []byte(k + "\n")}
			if got := problemsOf(t, tree); !strings.HasPrefix(got, "base/kustomization.yaml") {
				t.Errorf("problems = %q, want one of base/kustomization.yaml", got)
			}
			if n := requests.Swap(0); n > 0 {
				t.Errorf("the server got %d requests", n)
			}
		})
	}
}
