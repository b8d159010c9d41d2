package main

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

// clusterSecret is the Secret that holds a cluster's own token, where the cluster's
// providers read it.
type clusterSecret struct {
	secrets dynamic.ResourceInterface
	ref     string // namespace/name, for people
	name    string
	cluster string
}

const (
	tokenKey     = "token" // which Flux Operator sends as a bearer token
	managerLabel = "app.kubernetes.io/managed-by"
	clusterLabel = "tributary/cluster"
)

// secretResource is asked for without its Go type, which would bring those of all of
// Kubernetes into the binary.
var secretResource = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// openSecret asks nothing yet.
func openSecret(ref, kubeconfig, cluster string) (*clusterSecret, error) {
	namespace, name, ok := strings.Cut(ref, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("--secret %q: must be NAMESPACE/NAME", ref)
	}
	config, err := kubeConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	config.UserAgent = "tributary/" + version
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubernetes API: %w", err)
	}
	return &clusterSecret{client.Resource(secretResource).Namespace(namespace), ref, name, cluster}, nil
}

func kubeConfig(file string) (config *rest.Config, err error) {
	if file == "" {
		if config, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("kubernetes API: %w; elsewhere, name a --kubeconfig", err)
		}
		return config, nil
	}
	if config, err = clientcmd.BuildConfigFromFlags("", file); err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: %w", file, err)
	}
	return config, nil
}

// token is the one that the Secret holds, "" for none. One of another cluster is an
// error, because that cluster would lose it.
func (s *clusterSecret) token(ctx context.Context) (string, error) {
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
	if of := found.GetLabels()[clusterLabel]; token != "" && of != "" && of != s.cluster {
		return "", fmt.Errorf("secret %s: holds the token of cluster %q; name another one for %q, or delete it", s.ref, of, s.cluster)
	}
	return token, nil
}

// probe finds out whether write will be let through, with all that the API server
// has to say to it, and changes nothing.
func (s *clusterSecret) probe(ctx context.Context) error {
	return s.apply(ctx, "to be replaced", metav1.DryRunAll)
}

// write puts the token into the Secret.
func (s *clusterSecret) write(ctx context.Context, token string) error { return s.apply(ctx, token) }

// apply makes the Secret or changes it, whichever it takes, and leaves alone what
// others have in it. Applied by name, so that rights to this one Secret are enough.
func (s *clusterSecret) apply(ctx context.Context, token string, dryRun ...string) error {
	secret := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"data": map[string]any{tokenKey: base64.StdEncoding.EncodeToString([]byte(token))},
	}}
	secret.SetName(s.name)
	secret.SetLabels(map[string]string{managerLabel: "tributary", clusterLabel: s.cluster})
	_, err := s.secrets.Apply(ctx, s.name, secret, metav1.ApplyOptions{FieldManager: "tributary", Force: true, DryRun: dryRun})
	return s.wrap(err)
}

func (s *clusterSecret) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("secret %s: %w", s.ref, err)
}

// passingKube tells whether an error of the Kubernetes API may pass by itself, as
// client.Retryable does for Tributary's.
func passingKube(err error) (least time.Duration, passing bool) {
	if seconds, suggested := apierrors.SuggestsClientDelay(err); suggested {
		return time.Duration(seconds) * time.Second, true
	}
	return 0, apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) || net.IsConnectionRefused(err) ||
		net.IsConnectionReset(err) || net.IsTimeout(err) || net.IsProbableEOF(err)
}
