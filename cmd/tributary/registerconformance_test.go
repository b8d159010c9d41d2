//go:build conformance

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/tributary-gitops/tributary/deploy/kubetest"
)

// registrar imitates the registrations of a server.
type registrar struct {
	mu       sync.Mutex
	requests []string // credential and idempotency key of each request
	tokens   int
	ended    bool // whether earlier tokens are invalid
	down     int  // number of 503 answers before others
	*httptest.Server
}

func newRegistrar(t *testing.T) *registrar {
	r := &registrar{}
	r.Server = httptest.NewServer(http.HandlerFunc(r.answer))
	t.Cleanup(r.Close)
	return r
}

func (s *registrar) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodGet { // checks whether the token is valid
		status, name := http.StatusNotFound, "not-found"
		if s.ended {
			status, name = http.StatusUnauthorized, "unauthenticated"
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type": "urn:tributary:problem:%s", "title": "no", "status": %d, "detail": "no"}`, name, status)
		return
	}
	s.requests = append(s.requests, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+" "+r.Header.Get("Idempotency-Key"))
	if s.down > 0 {
		s.down--
		w.Header().Set("Retry-After", "0")
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	var request struct{ Name string }
	_ = json.NewDecoder(r.Body).Decode(&request)
	s.tokens++
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"cluster": %q, "token": "own-token-%d", "generation": 3}`, request.Name, s.tokens)
}

// kube is a namespace of a Kubernetes API server, seen by a service account with the rights
// of a Role and by an admin.
type kube struct {
	t          *testing.T
	admin      *kubernetes.Clientset
	kubeconfig string
	namespace  string
}

func newKube(t *testing.T, s *kubetest.Server, namespace string, rules ...rbacv1.PolicyRule) *kube {
	t.Helper()
	k := &kube{t: t, admin: kubernetes.NewForConfigOrDie(s.Config()), namespace: namespace}
	meta := metav1.ObjectMeta{Name: "register"}
	_, err := k.admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	k.check(err)
	_, err = k.admin.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	k.check(err)
	_, err = k.admin.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	k.check(err)
	_, err = k.admin.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "register"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "register", Namespace: namespace}},
	}, metav1.CreateOptions{})
	k.check(err)
	k.kubeconfig = k.configOf(s, "register")
	return k
}

// configOf returns the path of a kubeconfig for a service account.
func (k *kube) configOf(s *kubetest.Server, account string) string {
	k.t.Helper()
	token, err := k.admin.CoreV1().ServiceAccounts(k.namespace).CreateToken(k.t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	k.check(err)
	config, err := clientcmd.LoadFromFile(s.Kubeconfig(k.t, k.namespace))
	k.check(err)
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &api.AuthInfo{Token: token.Status.Token}
	}
	file := filepath.Join(k.t.TempDir(), "kubeconfig")
	k.check(clientcmd.WriteToFile(*config, file))
	return file
}

func (k *kube) check(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// secret returns the Secret with the token, or nil.
func (k *kube) secret() *corev1.Secret {
	k.t.Helper()
	all, err := k.admin.CoreV1().Secrets(k.namespace).List(k.t.Context(), metav1.ListOptions{})
	k.check(err)
	for i := range all.Items {
		if all.Items[i].Name == "tributary-token" {
			return &all.Items[i]
		}
	}
	return nil
}

// register runs tributary register as the service account.
func (k *kube) register(s *registrar, args ...string) (stdout, stderr string, err error) {
	k.t.Helper()
	token := filepath.Join(k.t.TempDir(), "token")
	k.check(os.WriteFile(token, []byte("boot\n"), 0o600))
	cmd := exec.CommandContext(k.t.Context(), "tributary", append([]string{"register", "--server", s.URL, "--token-file", token, "--name", "edge-7",
		"--kubeconfig", k.kubeconfig, "--secret", k.namespace + "/tributary-token"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// enough is the rule of the Role that tributary bootstrap prints.
var enough = rbacv1.PolicyRule{
	APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"tributary-token"}, Verbs: []string{"get", "create", "patch"},
}

func TestConformanceOfRegister(t *testing.T) {
	s := kubetest.Start(t)

	t.Run("the token goes into a new Secret, once", func(t *testing.T) {
		k, r := newKube(t, s, "new", enough), newRegistrar(t)
		r.down = 1
		stdout, stderr, err := k.register(r)
		if err != nil || stdout != "" || strings.Contains(stderr, "own-token") {
			t.Fatalf("register: %v, stdout %q, stderr %q", err, stdout, stderr)
		}
		got := k.secret()
		if string(got.Data["token"]) != "own-token-1" || got.Labels["app.kubernetes.io/managed-by"] != "tributary" || got.Labels["tributary/cluster"] != "edge-7" {
			t.Errorf("secret = %v with labels %v", got.Data, got.Labels)
		}
		if r.requests[0] != r.requests[1] || len(strings.Fields(r.requests[0])[1]) < 20 {
			t.Errorf("got requests with %q, want the same key both times", r.requests)
		}
		if _, stderr, err = k.register(r); err != nil || !strings.Contains(stderr, "already") || len(r.requests) != 2 {
			t.Errorf("again: %v, %q, %d requests; want nothing to be done", err, stderr, len(r.requests))
		}
		r.ended = true // such as by revoking them
		if _, stderr, err = k.register(r); err != nil || !strings.Contains(stderr, "has expired") || len(r.requests) != 3 {
			t.Errorf("with an expired token: %v, %q, %d requests; want a new one", err, stderr, len(r.requests))
		}
	})

	t.Run("rotation uses the current token and leaves other keys alone", func(t *testing.T) {
		k, r := newKube(t, s, "rotation", enough), newRegistrar(t)
		_, err := k.admin.CoreV1().Secrets(k.namespace).Create(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "tributary-token", Labels: map[string]string{"team": "a"}}, StringData: map[string]string{"token": "own-token-0\n", "ca.crt": "ca"},
		}, metav1.CreateOptions{})
		k.check(err)
		if _, stderr, err := k.register(r, "--rotate"); err != nil {
			t.Fatal(err, stderr)
		}
		got := k.secret()
		if string(got.Data["token"]) != "own-token-1" || string(got.Data["ca.crt"]) != "ca" || got.Labels["team"] != "a" {
			t.Errorf("secret = %q with labels %v", got.Data, got.Labels)
		}
		if _, stderr, err := k.register(r, "--rotate"); err != nil || string(k.secret().Data["token"]) != "own-token-2" {
			t.Errorf("again: %v %s, token %q", err, stderr, k.secret().Data["token"])
		}
		if !strings.HasPrefix(r.requests[0], "own-token-0 ") || !strings.HasPrefix(r.requests[1], "own-token-1 ") {
			t.Errorf("requests with %q, want the current token", r.requests)
		}
	})

	t.Run("nothing is registered if the token could not be stored", func(t *testing.T) {
		for name, rule := range map[string]*rbacv1.PolicyRule{
			"no-patch":   {Verbs: []string{"get", "create"}},
			"no-create":  {Verbs: []string{"get", "patch"}},
			"other-name": {Verbs: enough.Verbs, ResourceNames: []string{"other"}},
		} {
			rule.APIGroups, rule.Resources = enough.APIGroups, enough.Resources
			if rule.ResourceNames == nil {
				rule.ResourceNames = enough.ResourceNames
			}
			k, r := newKube(t, s, name, *rule), newRegistrar(t)
			if _, stderr, err := k.register(r); err == nil || !strings.Contains(stderr, "forbidden") || len(r.requests) > 0 || k.secret() != nil {
				t.Errorf("%s: %v, %q, requests %q", name, err, stderr, r.requests)
			}
		}
		k, r := newKube(t, s, "immutable", enough), newRegistrar(t)
		yes := true
		_, err := k.admin.CoreV1().Secrets(k.namespace).Create(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "tributary-token"}, Immutable: &yes,
		}, metav1.CreateOptions{})
		k.check(err)
		if _, stderr, err := k.register(r); err == nil || !strings.Contains(stderr, "immutable") || len(r.requests) > 0 {
			t.Errorf("immutable: %v, %q, requests %q", err, stderr, r.requests)
		}
	})

	t.Run("another cluster's token stays", func(t *testing.T) {
		k, r := newKube(t, s, "another", enough), newRegistrar(t)
		if _, stderr, err := k.register(r, "--name", "edge-8"); err != nil {
			t.Fatal(err, stderr)
		}
		for _, args := range [][]string{nil, {"--rotate"}} {
			if _, stderr, err := k.register(r, args...); err == nil || !strings.Contains(stderr, `holds the token of cluster "edge-8"`) || len(r.requests) != 1 {
				t.Errorf("register %q: %v, %q", args, err, stderr)
			}
		}
	})

	t.Run("rotation fails for a Secret without a token", func(t *testing.T) {
		k, r := newKube(t, s, "nothing", enough), newRegistrar(t)
		if _, stderr, err := k.register(r, "--rotate"); err == nil || !strings.Contains(stderr, "holds no token") || len(r.requests) > 0 {
			t.Errorf("rotate: %v, %q", err, stderr)
		}
	})
}
