//go:build conformance

package deploy_test

import (
	"maps"
	"strings"
	"testing"

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
