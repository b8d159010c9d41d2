//go:build conformance

package deploy_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The chart rejects invalid values and names them.
func TestConformanceOfChartValues(t *testing.T) {
	for _, test := range []struct{ values, want string }{
		{`{source: ""}`, "/source"},
		{`{source: ./fleet}`, "/source"},
		{`{replicaCount: 2}`, "replicaCount"},
		{`{auth: {tokenSecret: a}}`, "tokenSecret"},
		{`{auth: {tokensSecret: ""}}`, "nobody could authenticate"},
		{`{args: [interval=5m]}`, "/args/0"},
		{`{limits: {maxFileSize: large}}`, "/limits/maxFileSize"},
		{`{limits: {maxFiles: 0}}`, "/limits/maxFiles"},
		{`{replicas: 2}`, "/replicas"},
		{`{readOnly: {replicas: 1}}`, "/readOnly/replicas"},
		{`{auth: {clientCASecret: ca}}`, "/tls/secret"},
		{`{auth: {oidc: {issuer: "https://issuer.example.com"}}}`, "/auth/oidc/audience"},
		{`{auth: {oidc: {issuer: "https://issuer.example.com", audience: a}}}`, "/auth/oidc/rulesFile"},
		{`{serviceMonitor: {enabled: true}}`, "/serviceMonitor/tokenSecret"},
	} {
		values := map[string]any{"source": "oci://registry.example.com/fleet:stable", "auth": map[string]any{"tokensSecret": "tokens"}}
		if _, err := template(t, maps.Clone(values)); err != nil {
			t.Fatal(err)
		}
		var changed map[string]any
		if err := yaml.Unmarshal([]byte(test.values), &changed); err != nil {
			t.Fatal(err)
		}
		maps.Copy(values, changed)
		if _, err := template(t, values); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("values %s: %v, want an error that names %q", test.values, err, test.want)
		}
	}
}

// A cloud identity needs annotations on the ServiceAccount and labels on the pods.
func TestConformanceOfCloudIdentity(t *testing.T) {
	objects, err := template(t, map[string]any{
		"source": "oci://registry.example.com/fleet:stable", "auth": map[string]any{"tokensSecret": "tokens"},
		"store": map[string]any{"postgresSecret": "db"}, "readOnly": map[string]any{"replicas": 1},
		"serviceAccount": map[string]any{"annotations": map[string]any{"azure.workload.identity/client-id": "id"}},
		"podLabels":      map[string]any{"azure.workload.identity/use": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	pods := 0
	for _, o := range objects {
		switch o.GetKind() {
		case "ServiceAccount":
			if got := o.GetAnnotations()["azure.workload.identity/client-id"]; got != "id" {
				t.Errorf("the ServiceAccount has the annotation %q, want id", got)
			}
		case "Deployment":
			pods++
			labels, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
			if labels["azure.workload.identity/use"] != "true" {
				t.Errorf("the pods of %s have the labels %v", o.GetName(), labels)
			}
		}
	}
	if pods != 2 {
		t.Errorf("the chart has %d Deployments, want 2", pods)
	}
}

// An upgrade requires the store that the installation made. A value decides otherwise.
func TestConformanceOfRequiredStore(t *testing.T) {
	for _, test := range []struct {
		store string
		is    common.ReleaseOptions
		want  bool
	}{
		{`{}`, common.ReleaseOptions{IsInstall: true}, false},
		{`{}`, common.ReleaseOptions{IsUpgrade: true}, true},
		{`{require: true}`, common.ReleaseOptions{IsInstall: true}, true},
		{`{require: false}`, common.ReleaseOptions{IsUpgrade: true}, false},
	} {
		var store map[string]any
		if err := yaml.Unmarshal([]byte(test.store), &store); err != nil {
			t.Fatal(err)
		}
		test.is.Name, test.is.Namespace = "acme", "tributary"
		made, err := templateRelease(t, map[string]any{
			"source": "oci://registry.example.com/fleet:stable", "auth": map[string]any{"tokensSecret": "tokens"}, "store": store,
		}, test.is)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range made {
			if o.GetKind() != "Deployment" {
				continue
			}
			containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			if err != nil {
				t.Fatal(err)
			}
			if args := containers[0].(map[string]any)["args"].([]any); slices.Contains(args, any("--require-store")) != test.want {
				t.Errorf("store %s with %+v: args %v, want --require-store: %t", test.store, test.is, args, test.want)
			}
		}
	}
}
