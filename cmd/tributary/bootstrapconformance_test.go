//go:build conformance

package main_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"

	"github.com/tributary-gitops/tributary/deploy/kubetest"
)

// TestConformanceOfBootstrap applies the output of bootstrap to a real API server with Flux
// Operator's kinds, in a namespace with the restricted Pod Security Standard. Then it does
// what the Job does, with the rights of the Job.
func TestConformanceOfBootstrap(t *testing.T) {
	base := startTributary(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, certificate(t), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("tributary", "bootstrap", "edge-7", "--labels", "region=eu,environment=dev", "--dns", "edge-7.example.com",
		"--server", base, "--server-url", "https://tributary.example.com", "--ca-file", ca)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err, stderr.String())
	}
	objects := documents(t, &stdout)
	token := valueAt(objects["Secret/flux-system/tributary-bootstrap"].Object, "/stringData/token").(string)
	if token == "" || strings.Contains(stderr.String(), token) {
		t.Errorf("the token is %q, and stderr %q", token, &stderr)
	}

	t.Run("the API server takes all of it", func(t *testing.T) {
		s := kubetest.Start(t)
		applied(t, s, objects)
		k := &kube{t: t, admin: kubernetes.NewForConfigOrDie(s.Config()), namespace: "flux-system"}
		k.kubeconfig = k.configOf(s, "tributary-register")
		r := newRegistrar(t)
		if _, stderr, err := k.register(r); err != nil || string(k.secret().Data["token"]) != "own-token-1" {
			t.Errorf("register with the rights of the Job: %v, %s", err, stderr)
		}
	})

	t.Run("the Job says what the flags said", func(t *testing.T) {
		for key, o := range objects {
			if o.GetKind() != "Job" {
				continue
			}
			got := valueAt(o.Object, "/spec/template/spec/containers/0/args")
			want := []any{"register", "--server=https://tributary.example.com", "--token-file=/etc/tributary/bootstrap/token", "--name=edge-7",
				"--secret=flux-system/tributary-token", "--labels=environment=dev,region=eu", "--dns=edge-7.example.com", "--ca-file=/etc/tributary/ca/ca.crt"}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s has args %q\nwant %q", key, got, want)
			}
			return
		}
		t.Error("there is no Job")
	})

	t.Run("providers and ResourceSets are those of the examples", func(t *testing.T) {
		for set := range wanted {
			provider := readManifest(t, "flux", "providers", set)
			provider["metadata"].(object)["annotations"] = object{"fluxcd.controlplane.io/reconcileEvery": "5m0s"}
			provider["spec"].(object)["url"] = "https://tributary.example.com/api/v1/flux/clusters/edge-7/" + set
			provider["spec"].(object)["certSecretRef"] = object{"name": "tributary-ca"}
			for _, want := range []object{provider, readManifest(t, "fleet", "resourcesets", set)} {
				got := objects[objectKey(want)]
				if got == nil || compactJSON(t, got.Object) != compactJSON(t, want) {
					t.Errorf("%s = %v\nwant %v", objectKey(want), got, want)
				}
			}
		}
	})
}

// documents returns the objects of a YAML stream, by key.
func documents(t *testing.T, text io.Reader) map[string]*unstructured.Unstructured {
	t.Helper()
	all := map[string]*unstructured.Unstructured{}
	for d := utilyaml.NewYAMLOrJSONDecoder(text, 4096); ; {
		var o object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if o != nil {
			all[objectKey(o)] = &unstructured.Unstructured{Object: o}
		}
	}
}

// applied installs Flux Operator's kinds and applies objects as `kubectl apply
// --server-side --validate=strict` does.
func applied(t *testing.T, s *kubetest.Server, objects map[string]*unstructured.Unstructured) *kubetest.Client {
	t.Helper()
	config := s.Config()
	config.WarningHandler = &warnings{t}
	client := kubetest.NewClient(config)
	client.InstallCRDs(t)
	client.Namespace(t, "flux-system", map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"})
	for key, o := range objects {
		if err := client.Apply(t.Context(), o); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	return client
}

// warnings fails the test if the server sends a warning.
type warnings struct{ t *testing.T }

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.t.Errorf("the server warns: %s", text)
}

// certificate returns a self-signed certificate in PEM.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
