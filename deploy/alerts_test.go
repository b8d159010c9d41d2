package deploy_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestAlertsUseMetricsThatExist holds the alert rules against the reference, which another test holds
// against the code.
func TestAlertsUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	reference, err := os.ReadFile("../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Alert, Expr, For    string
		Labels, Annotations map[string]string
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	var used []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("alert %s lacks a severity, a summary or a description", r.Alert)
			}
			for _, metric := range regexp.MustCompile(`tributary_[a-z_]+`).FindAllString(r.Expr, -1) {
				used = append(used, metric)
				name := regexp.MustCompile(`_(count|sum|bucket)$`).ReplaceAllString(metric, "")
				if !regexp.MustCompile("(?m)^\\| `" + name + "[`{]").Match(reference) {
					t.Errorf("alert %s uses %s, which docs/reference/metrics.md does not have", r.Alert, metric)
				}
			}
		}
	}
	for _, metric := range []string{"tributary_clusters_late", "tributary_clusters_failing"} {
		if !slices.Contains(used, metric) {
			t.Errorf("no alert uses %s", metric)
		}
	}
}
