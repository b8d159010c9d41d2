package synthetic

import (
	"bytes"
	"embed"
	"fmt"
)

//go:embed schemas/*.json
var schemas embed.FS

func (f *Fleet) addSchemas(files map[string][]byte) {
	entries, _ := schemas.ReadDir("schemas") // they are in the program
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

// componentFile is a platform component at a version of its chart.
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
