// Package kubesecret stores a cluster's token in a Kubernetes Secret, where the cluster's
// ResourceSetInputProviders read it.
//
//	s, err := kubesecret.Open("flux-system/tributary-token", options)
//	err = s.Probe(ctx) // can it be written?
//	err = s.Write(ctx, token)
//
// It writes one key of the Secret and leaves the others alone.
package kubesecret

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Secret is the Secret of one cluster.
type Secret struct {
	secrets dynamic.ResourceInterface
	ref     string // namespace/name, for messages
	name    string
	cluster string
}

// Options say which cluster the token is for and how to reach the Kubernetes API.
type Options struct {
	Cluster    string
	Kubeconfig string // "" for the cluster that this process runs in
	Version    string // of this binary, for the user agent
}

const (
	tokenKey     = "token" // the key that Flux Operator sends as a bearer token
	managerLabel = "app.kubernetes.io/managed-by"
	clusterLabel = "tributary/cluster"
)

// secretResource avoids the typed client, which would link every Kubernetes type into
// the binary.
var secretResource = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// Open returns the Secret NAMESPACE/NAME. It sends no request.
func Open(ref string, o Options) (*Secret, error) {
	namespace, name, ok := strings.Cut(ref, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("--secret %q: must be NAMESPACE/NAME", ref)
	}
	config, err := restConfig(o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.UserAgent = "tributary/" + o.Version
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubernetes API: %w", err)
	}
	return &Secret{client.Resource(secretResource).Namespace(namespace), ref, name, o.Cluster}, nil
}

func restConfig(file string) (config *rest.Config, err error) {
	if file == "" {
		if config, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("kubernetes API: %w; outside of a cluster, use --kubeconfig", err)
		}
		return config, nil
	}
	if config, err = clientcmd.BuildConfigFromFlags("", file); err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: %w", file, err)
	}
	return config, nil
}

// Token returns the token in the Secret, "" if there is none. The token of another
// cluster is an error, because overwriting it would lock that cluster out.
func (s *Secret) Token(ctx context.Context) (string, error) {
	found, err := s.secrets.Get(ctx, s.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", s.wrap(err)
	}
	text, _, err := unstructured.NestedString(found.Object, "data", tokenKey)
	if err != nil {
		return "", s.wrap(err)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", s.wrap(err)
	}
	token := strings.TrimSpace(string(data))
	if owner := found.GetLabels()[clusterLabel]; token != "" && owner != "" && owner != s.cluster {
		return "", fmt.Errorf("secret %s: holds the token of cluster %q; name another Secret for %q, or delete this one", s.ref, owner, s.cluster)
	}
	return token, nil
}

// Probe checks that Write will be allowed, including by admission control. It changes
// nothing.
func (s *Secret) Probe(ctx context.Context) error {
	return s.apply(ctx, "placeholder", metav1.DryRunAll)
}

// Write stores the token. It creates the Secret if necessary.
func (s *Secret) Write(ctx context.Context, token string) error { return s.apply(ctx, token) }

// apply uses server-side apply by name, so that rights to this one Secret are enough.
func (s *Secret) apply(ctx context.Context, token string, dryRun ...string) error {
	secret := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"data": map[string]any{tokenKey: base64.StdEncoding.EncodeToString([]byte(token))},
	}}
	secret.SetName(s.name)
	secret.SetLabels(map[string]string{managerLabel: "tributary", clusterLabel: s.cluster})
	_, err := s.secrets.Apply(ctx, s.name, secret, metav1.ApplyOptions{FieldManager: "tributary", Force: true, DryRun: dryRun})
	return s.wrap(err)
}

func (s *Secret) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("secret %s: %w", s.ref, err)
}

// Retryable reports whether an error of the Kubernetes API may pass, and how long to wait
// at least before the next request.
func Retryable(err error) (least time.Duration, retryable bool) {
	if seconds, suggested := apierrors.SuggestsClientDelay(err); suggested {
		return time.Duration(seconds) * time.Second, true
	}
	return 0, apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) || net.IsConnectionRefused(err) ||
		net.IsConnectionReset(err) || net.IsTimeout(err) || net.IsProbableEOF(err)
}
