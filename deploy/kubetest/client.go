package kubetest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// Client applies and reads objects of any kind.
type Client struct {
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

// NewClient returns a client for a Server.
func NewClient(config *rest.Config) *Client {
	return &Client{
		dynamic: dynamic.NewForConfigOrDie(config),
		mapper:  restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discovery.NewDiscoveryClientForConfigOrDie(config))),
	}
}

// Apply does what `kubectl apply --server-side --validate=strict` does. With
// metav1.DryRunAll it does what --dry-run=server does.
func (c *Client) Apply(ctx context.Context, object *unstructured.Unstructured, dryRun ...string) error {
	of, err := c.of(object)
	if err != nil {
		return err
	}
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = of.Patch(ctx, object.GetName(), types.ApplyYAMLPatchType, body, metav1.PatchOptions{
		FieldManager: "test", FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun,
	})
	return err
}

// Get returns the stored object with the kind, namespace and name of like.
func (c *Client) Get(ctx context.Context, like *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	of, err := c.of(like)
	if err != nil {
		return nil, err
	}
	return of.Get(ctx, like.GetName(), metav1.GetOptions{})
}

// Delete deletes an object. Its finalizers still have to be done.
func (c *Client) Delete(ctx context.Context, object *unstructured.Unstructured) error {
	of, err := c.of(object)
	if err != nil {
		return err
	}
	return of.Delete(ctx, object.GetName(), metav1.DeleteOptions{})
}

// Lose deletes an object without its finalizers, as a lost cluster loses it.
func (c *Client) Lose(ctx context.Context, object *unstructured.Unstructured) error {
	of, err := c.of(object)
	if err != nil {
		return err
	}
	none := []byte(`{"metadata": {"finalizers": null}}`)
	if _, err := of.Patch(ctx, object.GetName(), types.MergePatchType, none, metav1.PatchOptions{}); err != nil {
		return err
	}
	return c.Delete(ctx, object)
}

// of returns the resource of an object. An object without a namespace is in the namespace
// default.
func (c *Client) of(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

// Namespace creates a namespace with labels.
func (c *Client) Namespace(t testing.TB, name string, labels map[string]string) {
	t.Helper()
	namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	namespace.SetName(name)
	namespace.SetLabels(labels)
	if err := c.Apply(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
}

// InstallCRDs installs the custom resources of the Flux and Prometheus operators from the
// directory CRDS, and returns when they can be used.
func (c *Client) InstallCRDs(t testing.TB) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(os.Getenv("CRDS"), "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("CRDS does not name a directory of custom resources: run `make conformance`")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(bytes.TrimPrefix(text, []byte("---\n")), &crd.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := c.Apply(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
		c.await(t, crd)
	}
}

func (c *Client) await(t testing.TB, crd *unstructured.Unstructured) {
	t.Helper()
	var kind schema.GroupKind
	kind.Group, _, _ = unstructured.NestedString(crd.Object, "spec", "group")
	kind.Kind, _, _ = unstructured.NestedString(crd.Object, "spec", "names", "kind")
	for deadline := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		c.mapper.Reset()
		if _, err := c.mapper.RESTMapping(kind); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
