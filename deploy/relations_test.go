//go:build conformance

package deploy_test

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestConformanceOfRelations checks what the API server does not: that references and
// selectors match existing objects.
func TestConformanceOfRelations(t *testing.T) {
	for source, objects := range rendered(t) {
		t.Run(source, func(t *testing.T) {
			deployments := ofKind[appsv1.Deployment](t, objects, "Deployment")
			for _, service := range ofKind[corev1.Service](t, objects, "Service") {
				selected := selects(t, deployments, &metav1.LabelSelector{MatchLabels: service.Spec.Selector})
				if len(selected) != 1 || selected[0].Name != service.Name {
					t.Errorf("service %s selects %d deployments, want the one with its name", service.Name, len(selected))
				}
			}
			budgets := ofKind[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget")
			for _, d := range deployments {
				checkDeployment(t, d, objects)
				checkReplicas(t, d, budgets)
			}
		})
	}
}

// checkDeployment checks that everything that pods use exists, except for the Secrets that
// users create.
func checkDeployment(t *testing.T, d appsv1.Deployment, objects []*unstructured.Unstructured) {
	t.Helper()
	has := func(kind, name string) {
		t.Helper()
		for _, o := range objects {
			if o.GetKind() == kind && o.GetName() == name {
				return
			}
		}
		t.Errorf("deployment %s uses %s %s, which does not exist", d.Name, kind, name)
	}
	readOnly := d.Labels["app.kubernetes.io/component"] == "read-only"
	if args := d.Spec.Template.Spec.Containers[0].Args; slices.Contains(args, "--read-only") != readOnly {
		t.Errorf("deployment %s has the arguments %q, but read-only is %v", d.Name, args, readOnly)
	}
	has("ServiceAccount", d.Spec.Template.Spec.ServiceAccountName)
	for _, volume := range d.Spec.Template.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			has("PersistentVolumeClaim", volume.PersistentVolumeClaim.ClaimName)
		}
		if volume.ConfigMap != nil {
			has("ConfigMap", volume.ConfigMap.Name)
		}
	}
	for _, env := range d.Spec.Template.Spec.Containers[0].Env {
		if env.ValueFrom != nil && env.ValueFrom.ConfigMapKeyRef != nil {
			has("ConfigMap", env.ValueFrom.ConfigMapKeyRef.Name)
		}
	}
}

// checkReplicas checks that several servers have a database, a rolling update and a
// disruption budget, and that a single server has a volume.
func checkReplicas(t *testing.T, d appsv1.Deployment, budgets []policyv1.PodDisruptionBudget) {
	t.Helper()
	budget := 0
	for _, b := range budgets {
		budget += len(selects(t, []appsv1.Deployment{d}, b.Spec.Selector))
	}
	var spread []appsv1.Deployment
	for _, c := range d.Spec.Template.Spec.TopologySpreadConstraints {
		spread = append(spread, selects(t, []appsv1.Deployment{d}, c.LabelSelector)...)
	}
	volume := false
	for _, v := range d.Spec.Template.Spec.Volumes {
		volume = volume || v.PersistentVolumeClaim != nil
	}
	several := *d.Spec.Replicas > 1
	rolling := d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType
	if rolling != several || volume == several || (budget == 1) != several || (len(spread) == 2) != several {
		t.Errorf("deployment %s: replicas %d, strategy %s, volume %v, %d budgets, spread over %d topologies; these do not match",
			d.Name, *d.Spec.Replicas, d.Spec.Strategy.Type, volume, budget, len(spread))
	}
}

// selects returns the deployments whose pods match a selector.
func selects(t *testing.T, from []appsv1.Deployment, by *metav1.LabelSelector) (found []appsv1.Deployment) {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range from {
		if selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			found = append(found, d)
		}
	}
	return found
}

func ofKind[T any](t *testing.T, objects []*unstructured.Unstructured, kind string) (found []T) {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() != kind {
			continue
		}
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &typed); err != nil {
			t.Fatal(err)
		}
		found = append(found, typed)
	}
	return found
}
