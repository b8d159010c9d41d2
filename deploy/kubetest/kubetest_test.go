//go:build conformance

package kubetest_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tributary-gitops/tributary/deploy/kubetest"
)

func TestConformanceServerKeepsObjects(t *testing.T) {
	config, err := clientcmd.BuildConfigFromFlags("", kubetest.Start(t).Kubeconfig(t, "default"))
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "token"}, StringData: map[string]string{"token": "t0p"}}
	if _, err := client.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := client.CoreV1().Secrets("default").Get(t.Context(), "token", metav1.GetOptions{})
	if err != nil || string(got.Data["token"]) != "t0p" {
		t.Errorf("secret = %v, %v; want the token t0p", got, err)
	}
}
