//go:build conformance

package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tributary-gitops/tributary/deploy/kubetest"
)

// reconciled is how long the operator may take to reconcile a change.
const reconciled = time.Minute

// TestConformanceOfAReconciledCluster runs Flux Operator on a Kubernetes API server, where
// it polls for a cluster. The providers and ResourceSets of examples/flux create the objects
// that the operator's CLI builds, and a delta changes one of them.
func TestConformanceOfAReconciledCluster(t *testing.T) {
	cli, base, cluster := operatorCLI(t), startTributary(t), "eu-prod-01"
	server := kubetest.Start(t)
	client := kubetest.NewClient(server.Config())
	client.InstallCRDs(t)
	client.Namespace(t, "flux-system", nil)
	server.StartFluxOperator(t)
	for _, set := range []string{"namespaces", "rolebindings"} {
		url := base + "/api/v1/flux/clusters/" + cluster + "/" + set
		provider := providerOf(t, set, url)
		apply(t, client, provider)
		apply(t, client, readManifest(t, "fleet", "resourcesets", set))
		for _, o := range buildResourceSet(t, cli, set, pollInputs(t, url)) {
			await(t, client, o)
		}
	}

	patch(t, base+"/api/v1/clusters/"+cluster+"/objects/Namespace/checkout", `{"metadata": {"labels": {"tested": "yes"}}}`)
	provider := providerOf(t, "namespaces", base+"/api/v1/flux/clusters/"+cluster+"/namespaces")
	provider["metadata"].(object)["annotations"].(object)["reconcile.fluxcd.io/requestedAt"] = "now"
	apply(t, client, provider)
	await(t, client, object{
		"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": "checkout", "labels": object{"tested": "yes"}},
	})
}

// providerOf returns a provider of examples/flux with another URL, without https and without
// a credential.
func providerOf(t *testing.T, set, url string) object {
	t.Helper()
	provider := readManifest(t, "flux", "providers", set)
	spec := provider["spec"].(object)
	spec["url"], spec["insecure"] = url, true
	delete(spec, "secretRef")
	return provider
}

func apply(t *testing.T, client *kubetest.Client, o object) {
	t.Helper()
	if err := client.Apply(t.Context(), &unstructured.Unstructured{Object: o}); err != nil {
		t.Fatalf("%s: %v", objectKey(o), err)
	}
}

// await waits until the server has an object with all fields of this one.
func await(t *testing.T, client *kubetest.Client, want object) {
	t.Helper()
	for deadline := time.Now().Add(reconciled); ; time.Sleep(50 * time.Millisecond) {
		got, err := client.Get(t.Context(), &unstructured.Unstructured{Object: want})
		if err == nil && says(t, got.Object, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %v, %v, want %v", objectKey(want), got, err, want)
		}
	}
}

// says reports whether an object has all fields of another.
func says(t *testing.T, got, want object) bool {
	t.Helper()
	original := []byte(compactJSON(t, got))
	merged, err := jsonpatch.MergePatch(original, []byte(compactJSON(t, want)))
	if err != nil {
		t.Fatal(err)
	}
	return jsonpatch.Equal(original, merged)
}

func patch(t *testing.T, url, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/merge-patch+json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("PATCH %s = %s", url, answer.Status)
	}
}
