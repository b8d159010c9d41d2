//go:build conformance

package deploy_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// TestConformanceOfFlags checks that the binary knows every flag of the Deployments, and
// every environment variable as a flag.
func TestConformanceOfFlags(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "tributary")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "../cmd/tributary").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for source, objects := range rendered(t) {
		for _, d := range ofKind[appsv1.Deployment](t, objects, "Deployment") {
			server := d.Spec.Template.Spec.Containers[0]
			args := append(server.Args, "--help") // takes effect only if all other flags are valid
			for _, env := range server.Env {
				if name, ok := strings.CutPrefix(env.Name, "TRIBUTARY_"); ok {
					args = append(args, "--"+strings.ReplaceAll(strings.ToLower(name), "_", "-")+"=x")
				}
			}
			if out, err := exec.Command(binary, args...).CombinedOutput(); err != nil {
				t.Errorf("%s: deployment %s: tributary %s: %s", source, d.Name, strings.Join(args, " "), out)
			}
		}
	}
}
