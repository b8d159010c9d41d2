//go:build conformance

package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"github.com/tributary-gitops/tributary/deploy/kubetest"
)

// TestConformanceOfAClustersLife follows a cluster as docs/how-to describes it: one command
// and its Job lead to reconciled objects, and another command removes them and ends when
// the real Flux Operator has polled.
func TestConformanceOfAClustersLife(t *testing.T) {
	base := startTributary(t)
	manifests := run(t, "bootstrap", "edge-7", "--labels", "environment=dev,region=eu", "--server", base, "--interval", "1s")
	objects := documents(t, bytes.NewReader(manifests))
	for key, o := range objects { // these need kinds that Flux Operator does not have
		if strings.HasPrefix(key, "ResourceSet") && o.GetName() != "rolebindings" {
			delete(objects, key)
		}
	}
	s := kubetest.Start(t)
	client := applied(t, s, objects)
	s.StartFluxOperator(t)

	// Do what the Job does, which nothing runs here.
	k := &kube{t: t, admin: kubernetes.NewForConfigOrDie(s.Config()), namespace: "flux-system"}
	boot := filepath.Join(t.TempDir(), "boot")
	token := valueAt(objects["Secret/flux-system/tributary-bootstrap"].Object, "/stringData/token").(string)
	k.check(os.WriteFile(boot, []byte(token), 0o600))
	run(t, "register", "--server", base, "--token-file", boot, "--name", "edge-7", "--labels", "environment=dev,region=eu",
		"--secret", "flux-system/tributary-token", "--kubeconfig", k.configOf(s, "tributary-register"))

	binding := &unstructured.Unstructured{Object: object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": object{"name": "developers-edit"},
	}}
	await(t, client, binding.Object)
	printed := run(t, "decommission", "edge-7", "--confirm", "edge-7", "--server", base)
	if !strings.Contains(string(printed), "its machine can be deleted") {
		t.Errorf("decommission prints:\n%s", printed)
	}
	for deadline := time.Now().Add(reconciled); ; time.Sleep(50 * time.Millisecond) {
		_, err := client.Get(t.Context(), binding)
		if apierrors.IsNotFound(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("ClusterRoleBinding developers-edit still exists: %v", err)
		}
	}
}

// run runs tributary and returns its output.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "tributary", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tributary %s: %v\n%s", args[0], err, &stderr)
	}
	return out
}
