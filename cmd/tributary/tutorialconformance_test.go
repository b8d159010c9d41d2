//go:build conformance

package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/deploy/kubetest"
)

// TestConformanceOfTutorial has the real Flux Operator follow the fleet of the tutorial. It
// then deletes the provider and creates it again while the server is away: with the
// dependsOn that the documentation recommends, nothing that the provider fed is deleted.
func TestConformanceOfTutorial(t *testing.T) {
	const page = "../../docs/tutorial/first-change.md"
	dir := t.TempDir()
	script, _ := shellBlock(t, page, "\n## 1. Write a fleet repo\n")
	runShell(t, dir, script)
	fleet := filepath.Join(dir, "fleet")
	server := newProcess(t, fleet, "--store", "sqlite:"+filepath.Join(dir, "tributary.db"))

	cluster := kubetest.Start(t)
	client := kubetest.NewClient(cluster.Config())
	client.InstallCRDs(t)
	client.Namespace(t, "flux-system", nil)
	cluster.StartFluxOperator(t)

	provider := manifest(t, regexp.MustCompile(`(?s)<<EOF\n(apiVersion: .*?)\nEOF\nkubectl apply -f fleet/`).FindStringSubmatch(readText(t, page))[1])
	spec := provider.Object["spec"].(map[string]any)
	spec["url"] = server.url + "/api/v1/flux/clusters/laptop/apps"
	delete(spec, "secretRef") // the server is on a loopback address, without credentials
	resourceSet := manifest(t, readText(t, filepath.Join(fleet, "resourcesets", "apps.yaml")))
	deployment := manifest(t, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: hello, namespace: default}}")

	apply := func(o *unstructured.Unstructured) {
		t.Helper()
		if err := client.Apply(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	awaitStatus := func(like *unstructured.Unstructured, is func(*unstructured.Unstructured) bool) *unstructured.Unstructured {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			o, err := client.Get(t.Context(), like)
			if err == nil && is(o) {
				return o
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s is %v, %v", like.GetName(), o, err)
			}
		}
	}
	apply(provider)
	apply(resourceSet)
	before := awaitStatus(deployment, func(o *unstructured.Unstructured) bool { return true })

	stillThere := func() {
		t.Helper()
		if o, err := client.Get(t.Context(), deployment); err != nil || o.GetUID() != before.GetUID() {
			t.Errorf("the Deployment is %v, %v, want the one from before the provider was lost", o, err)
		}
	}

	server.kill()
	err := dynamic.NewForConfigOrDie(cluster.Config()).
		Resource(schema.GroupVersionResource{Group: "fluxcd.controlplane.io", Version: "v1", Resource: "resourcesetinputproviders"}).
		Namespace("flux-system").Delete(t.Context(), "apps", metav1.DeleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if _, err := client.Get(t.Context(), provider); apierrors.IsNotFound(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the provider is not deleted")
		}
	}
	apply(provider)
	resourceSet.SetAnnotations(map[string]string{"reconcile.fluxcd.io/requestedAt": "now"})
	apply(resourceSet)
	awaitStatus(resourceSet, func(o *unstructured.Unstructured) bool {
		return strings.Contains(readyMessage(o), "expression 'has(status.lastExportedRevision)'")
	})
	stillThere()

	server.start()
	provider.SetAnnotations(map[string]string{"reconcile.fluxcd.io/requestedAt": "now"})
	apply(provider)
	awaitStatus(resourceSet, func(o *unstructured.Unstructured) bool {
		return strings.HasPrefix(readyMessage(o), "Reconciliation finished")
	})
	stillThere()
}

// readyMessage returns the message of an object's condition Ready.
func readyMessage(o *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if c := c.(map[string]any); c["type"] == "Ready" {
			return c["message"].(string)
		}
	}
	return ""
}

func manifest(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}
