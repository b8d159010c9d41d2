package synthetic

import "fmt"

var (
	environments = []string{"dev", "staging", "prod"}
	regions      = []string{"eu", "us", "ap", "sa", "af", "me", "ca", "au"}
	providers    = []string{"aws", "azure", "gcp", "on-prem"}
	components   = []string{
		"cert-manager", "external-secrets", "external-dns", "ingress-nginx", "keda", "kyverno", "metrics-server",
		"kube-prometheus-stack", "loki", "tempo", "promtail", "opentelemetry-collector", "velero", "trivy-operator",
		"falco", "cluster-autoscaler", "descheduler", "reloader", "argo-rollouts", "istio-base", "istiod",
		"node-problem-detector", "vertical-pod-autoscaler", "csi-driver-nfs", "postgres-operator", "redis-operator",
		"rabbitmq-operator", "strimzi-kafka-operator", "kubecost", "podinfo",
	}
	teams = []string{"checkout", "catalog", "search", "payments", "shipping", "identity", "pricing", "reviews", "support", "reporting"}
	roles = []string{"view", "edit", "admin", "system:auth-delegator", "system:monitoring"}
)

// nth is the name at a place in a list that goes on, with numbers, past its end.
func nth(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return fmt.Sprintf("%s-%d", list[i%len(list)], i/len(list)+1)
}
