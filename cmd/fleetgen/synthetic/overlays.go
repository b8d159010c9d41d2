package synthetic

import "fmt"

// place is where a stack stands: stacks are the pairs of environment and region, region
// by region, so that three of them share a region's component.
type place struct{ environment, region string }

func (f *Fleet) place(stack int) place {
	return place{environments[stack%len(environments)], nth(regions, stack/len(environments))}
}

// Placement is the overlay and the component that a cluster's labels place it on.
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

// overlay makes the environments differ in how much of a component runs, and where
// charts come from.
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

// region makes the regions differ in where logs and traces go.
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
