package synthetic

import (
	"bytes"
	"embed"
	"fmt"
)

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

// nth returns the name at an index. Past the end of the list, names have numbers.
func nth(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return fmt.Sprintf("%s-%d", list[i%len(list)], i/len(list)+1)
}

//go:embed schemas/*.json
var schemas embed.FS

func (f *Fleet) addSchemas(files map[string][]byte) {
	entries, _ := schemas.ReadDir("schemas") // the files are embedded
	for _, e := range entries {
		files["schemas/"+e.Name()], _ = schemas.ReadFile("schemas/" + e.Name())
	}
}

const kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"

func (f *Fleet) addBase(files map[string][]byte) {
	all := bytes.NewBufferString("# What every cluster runs unless an overlay says otherwise.\n" + kustomization + "resources:\n- access\n- namespaces\n")
	for i := range f.Components {
		name, content := f.componentFile(i, 0)
		files[name] = content
		files["base/"+nth(components, i)+"/kustomization.yaml"] = []byte(kustomization + "resources:\n- component.yaml\n")
		fmt.Fprintf(all, "- %s\n", nth(components, i))
	}
	files["base/kustomization.yaml"] = all.Bytes()
	files["base/namespaces/kustomization.yaml"] = []byte(kustomization + "resources:\n- namespaces.yaml\n")
	files["base/namespaces/namespaces.yaml"] = f.namespaces()
	files["base/access/kustomization.yaml"] = []byte(kustomization + "resources:\n- bindings.yaml\n")
	files["base/access/bindings.yaml"] = f.bindings()
}

// componentFile returns a platform component at a version of its chart.
func (f *Fleet) componentFile(i, version int) (name string, content []byte) {
	component, dependsOn := nth(components, i), "[]"
	if i > 1 {
		dependsOn = fmt.Sprintf("[%s]", nth(components, i%2))
	}
	return "base/" + component + "/component.yaml", fmt.Appendf(nil, `apiVersion: platform.example.com/v1
kind: PlatformComponent
metadata:
  name: %[1]s
spec:
  namespace: %[1]s
  source:
    oci_url: oci://ghcr.io/acme/charts/%[1]s
    oci_tag: %[2]d.%[3]d.%[4]d
  depends_on: %[5]s
  values:
    replicaCount: 1
    image:
      tag: v%[2]d.%[3]d.%[6]d
    resources:
      requests: {cpu: 50m}
      limits: {memory: %[7]dMi}
`, component, 1+i%4, i%20, version, dependsOn, f.Seed%10, 128*(1+i%3))
}

func (f *Fleet) namespaces() []byte {
	var all []byte
	for i := range f.Namespaces {
		all = fmt.Appendf(all, `---
apiVersion: v1
kind: Namespace
metadata:
  name: %[1]s
  labels:
    pod-security.kubernetes.io/enforce: restricted
    platform.example.com/team: %[1]s
  annotations:
    platform.example.com/contact: "#team-%[1]s"
    platform.example.com/cost-center: "%[2]d"
`, nth(teams, i), 4700+i)
	}
	return all
}

func (f *Fleet) bindings() []byte {
	var all []byte
	for i := range f.Bindings {
		all = fmt.Appendf(all, `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: %[1]s-%[2]s
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: %[3]s
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: acme:%[1]s
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: acme:platform-admins
`, nth(teams, i), nth([]string{"viewers", "editors"}, i%2), roles[i%len(roles)])
	}
	return all
}

const inputSets = `# Made by fleetgen.
apiVersion: tributary/v1alpha1
kind: Fleet
metadata:
  name: synthetic
spec:
  inputs:
  - name: platform-components
    kind: PlatformComponent
    schema: schemas/platform-component.json
    defaults: {values: {}, depends_on: []}
  - name: namespaces
    kind: Namespace
    schema: schemas/namespace.json
    fields:
      labels: metadata.labels
      annotations: metadata.annotations
    defaults: {labels: {}, annotations: {}}
  - name: rolebindings
    kind: ClusterRoleBinding
    schema: schemas/rolebinding.json
    fields:
      role: roleRef.name
      subjects: subjects
    allowEmpty: true
  placement:
`

// fleetFile returns fleet.yaml. It places clusters by their labels: the environment
// chooses the overlay, and the region adds its component.
func (f *Fleet) fleetFile() []byte {
	text := []byte(inputSets)
	for i := range min(f.Stacks, len(environments)) {
		text = fmt.Appendf(text, "  - selector:\n      matchLabels: {environment: %[1]s}\n    overlay: overlays/%[1]s\n", environments[i])
	}
	for stack := 0; stack < f.Stacks; stack += len(environments) {
		text = fmt.Appendf(text, "  - selector:\n      matchLabels: {region: %[1]s}\n    components: [components/%[1]s]\n", f.place(stack).region)
	}
	return text
}

// place identifies a stack. Stacks are pairs of an environment and a region, region by
// region, so that three of them share the component of a region.
type place struct{ environment, region string }

func (f *Fleet) place(stack int) place {
	return place{environments[stack%len(environments)], nth(regions, stack/len(environments))}
}

// Placement returns the overlay and the component that a cluster is placed on.
func (f *Fleet) Placement(cluster int) (overlay, component string) {
	p := f.place(cluster % f.Stacks)
	return "overlays/" + p.environment, "components/" + p.region
}

// addOverlays gives each environment an overlay, and each region a component.
func (f *Fleet) addOverlays(files map[string][]byte) {
	for stack := range f.Stacks {
		p := f.place(stack)
		files["overlays/"+p.environment+"/kustomization.yaml"] = f.overlay(stack % len(environments))
		files["components/"+p.region+"/kustomization.yaml"] = f.region(stack/len(environments), p.region)
	}
}

// overlay returns the overlay of an environment. Environments differ in replica counts
// and in a label on namespaces.
func (f *Fleet) overlay(environment int) []byte {
	text := []byte(kustomization + "resources:\n- ../../base\npatches:\n")
	for i := range min(4, f.Components) {
		name := nth(components, (i*7+environment)%f.Components)
		text = fmt.Appendf(text, `- target: {kind: PlatformComponent, name: %s}
  patch: |-
    - {op: replace, path: /spec/values/replicaCount, value: %d}
`, name, environment+1)
	}
	return fmt.Appendf(text, `- target: {kind: Namespace}
  patch: |-
    - {op: add, path: /metadata/labels/platform.example.com~1environment, value: %s}
`, environments[environment])
}

// region returns the component of a region. Regions differ in where telemetry goes and
// who may view.
func (f *Fleet) region(number int, name string) []byte {
	component := nth(components, (number*11+3)%f.Components)
	return fmt.Appendf(nil, `apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
- patch: |-
    apiVersion: platform.example.com/v1
    kind: PlatformComponent
    metadata:
      name: %[1]s
    spec:
      values:
        endpoint: https://telemetry.%[2]s.example.com
- target: {kind: ClusterRoleBinding, name: %[3]s-viewers}
  patch: |-
    - {op: add, path: /subjects/-, value: {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "acme:support-%[2]s"}}
`, component, name, nth(teams, 0))
}
