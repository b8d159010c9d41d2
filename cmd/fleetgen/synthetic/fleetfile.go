package synthetic

import "fmt"

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

// fleetFile places clusters by their labels: an environment gives the overlay, a region
// adds its component.
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
