package render

import (
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestTextIsFoldedAsKustomizeFoldsIt has texts that kustomize reads as others once it has
// written them, in fields that the object has and in others, and in lists.
func TestTextIsFoldedAsKustomizeFoldsIt(t *testing.T) {
	for _, text := range []string{
		">\n@intro\n@  indented\n@end\n", ">+\n@a\n\n@b\n\n", ">-\n@a\n@ b\n\n@c\n", "|\n@a\n@  b\n", "|+\n@a\n\n", "\"a\\n  b\\nc\"", "'a\n\n@b'", "!!binary aGk=",
	} {
		for _, spec := range []string{"  text: " + strings.ReplaceAll(text, "@", "    "), "  new: " + strings.ReplaceAll(text, "@", "    "), "  list:\n  - " + strings.ReplaceAll(text, "@", "    ")} {
			files := map[string]string{
				"fleet.yaml":                   generatedFleet,
				"clusters/c.yaml":              "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: c}\n",
				"base/app.yaml":                "apiVersion: example.com/v1\nkind: App\nmetadata: {name: folded}\nspec:\n  tag: v1\n  text: before\n",
				"overlay/kustomization.yaml":   "resources: [../base]\n",
				"base/kustomization.yaml":      "resources: [app.yaml]\n",
				"component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels: [{pairs: {a: b}}]\n",
			}
			patch := "apiVersion: example.com/v1\nkind: App\nmetadata: {name: folded}\nspec:\n" + spec
			checkAgainstKustomize(t, files, &fleet.Cluster{Name: "c", Patches: []fleet.Patch{{Patch: patch}}})
		}
	}
}
