//go:build conformance

package deploy_test

import (
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/tributary-gitops/tributary/deploy/kubetest"
)

// TestConformanceOfManifests applies every object to a real API server, as `kubectl apply
// --server-side --dry-run=server --validate=strict` does, in namespaces that enforce the
// restricted Pod Security Standard.
func TestConformanceOfManifests(t *testing.T) {
	var warnings warnings
	config := kubetest.Start(t).Config()
	config.WarningHandler = &warnings
	client := kubetest.NewClient(config)
	client.InstallCRDs(t)
	restricted := map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
	for _, namespace := range []string{"tributary", "flux-system"} {
		client.Namespace(t, namespace, restricted)
	}
	for source, objects := range rendered(t) {
		t.Run(source, func(t *testing.T) {
			if len(objects) == 0 {
				t.Error("has no objects")
			}
			for _, object := range objects {
				if object.GetNamespace() == "" {
					object.SetNamespace("tributary") // as kubectl -n does
				}
				if err := client.Apply(t.Context(), object, metav1.DryRunAll); err != nil {
					t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
				}
			}
			for _, warning := range warnings.take() {
				t.Errorf("the server warns: %s", warning)
			}
		})
	}
}

// warnings collects the warnings of the API server.
type warnings struct {
	mu  sync.Mutex
	all []string
}

var _ rest.WarningHandler = (*warnings)(nil)

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.all
	w.all = nil
	return taken
}
