package fleetrepo

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// A ResourceSet whose providers yield no inputs deletes everything that it made. Flux
// Operator does not ask whether the providers have ever polled, so a provider that is
// deleted and created again empties its ResourceSets until it has polled. A dependency on
// the provider with this expression makes the ResourceSet wait instead.
const (
	providerKind = "ResourceSetInputProvider"
	hasPolled    = "has(status.lastExportedRevision)"

	// unprotectedReason is the annotation of a ResourceSet that does not wait for its
	// providers on purpose. Its value is the reason.
	unprotectedReason = "tributary/unprotected-reason"
)

// CheckResourceSets calls fault for each provider that a ResourceSet in a value takes
// inputs from without waiting for it. A value is decoded JSON: an object, or whatever has
// one in it. The paths of faults begin at the value.
func CheckResourceSets(value any, fault func(path, message string)) {
	eachResourceSet("", value, func(at string, set map[string]any) {
		checkProviders(set, func(field, message string) { fault(strings.TrimPrefix(at+"."+field, "."), message) })
	})
}

// IsResourceSet reports whether a value is a ResourceSet.
func IsResourceSet(object map[string]any) bool {
	version, _ := object["apiVersion"].(string)
	group, _, _ := strings.Cut(version, "/")
	return object["kind"] == any(resourceSetKind) && group == "fluxcd.controlplane.io"
}

func eachResourceSet(at string, value any, f func(at string, set map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		if IsResourceSet(v) {
			f(at, v)
			return
		}
		for key, child := range v {
			eachResourceSet(FieldName(at, key), child, f)
		}
	case []any:
		for i, child := range v {
			eachResourceSet(FieldIndex(at, i), child, f)
		}
	}
}

// checkProviders leaves a field of the wrong type alone: Flux Operator refuses it.
func checkProviders(set map[string]any, fault func(field, message string)) {
	spec, _ := set["spec"].(map[string]any)
	sources, _ := spec["inputsFrom"].([]any)
	dependencies, _ := spec["dependsOn"].([]any)
	meta, _ := set["metadata"].(map[string]any)
	namespace, _ := meta["namespace"].(string)
	annotations, _ := meta["annotations"].(map[string]any)
	if reason, given := annotations[unprotectedReason].(string); given {
		if strings.TrimSpace(reason) == "" {
			fault(FieldName("metadata.annotations", unprotectedReason), "must say why Flux may delete everything that this ResourceSet made when a provider is recreated")
		}
		return
	}
	for i, source := range sources {
		field := FieldIndex("spec.inputsFrom", i)
		source, _ := source.(map[string]any)
		name, _ := source["name"].(string)
		if _, selects := source["selector"]; selects {
			fault(field+".selector", fmt.Sprintf("cannot wait for the providers that it selects, so Flux deletes everything made from a provider that is recreated or loses its label; "+
				"give the reason in the annotation %s, or name each provider here and add to spec.dependsOn: %s", unprotectedReason, dependencyOn("NAME", namespace)))
			continue
		}
		if name == "" {
			continue
		}
		wanted := dependencyOn(name, namespace)
		at := slices.IndexFunc(dependencies, func(d any) bool { return isOn(d, name, namespace) })
		if at < 0 {
			fault(field+".name", fmt.Sprintf("the ResourceSet does not wait for provider %q, so Flux deletes everything made from it when the provider is recreated; "+
				"give the reason in the annotation %s, or add to spec.dependsOn: %s", name, unprotectedReason, wanted))
		} else if dependency := dependencies[at].(map[string]any); !waits(dependency) {
			fault(FieldIndex("spec.dependsOn", at), fmt.Sprintf("does not wait until provider %q has polled, so Flux deletes everything made from it when the provider is recreated; "+
				"replace it by: %s", name, wanted))
		}
	}
}

// dependencyOn returns a line of YAML that belongs into spec.dependsOn.
func dependencyOn(name, namespace string) string {
	if namespace == "" {
		namespace = "flux-system"
	}
	return fmt.Sprintf("- {apiVersion: %s, kind: %s, name: %s, namespace: %s, ready: true, readyExpr: %s}",
		resourceSetAPIVersion, providerKind, name, namespace, hasPolled)
}

// isOn reports whether a dependency is on a provider. A ResourceSet finds providers in its
// own namespace. One that leaves the namespace to bootstrap may leave it to bootstrap
// there too.
func isOn(dependency any, name, namespace string) bool {
	d, _ := dependency.(map[string]any)
	there, _ := d["namespace"].(string)
	return d["kind"] == any(providerKind) && d["name"] == any(name) && (namespace == "" || there == namespace)
}

// waits reports whether a dependency waits until the provider has polled. The expression
// may be one of several that must all be true.
func waits(dependency map[string]any) bool {
	text, _ := dependency["readyExpr"].(string)
	if dependency["ready"] != any(true) || strings.Contains(text, "||") || strings.Contains(text, "?") {
		return false
	}
	return slices.ContainsFunc(strings.Split(text, "&&"), func(term string) bool { return strings.TrimSpace(term) == hasPolled })
}

// UnprotectedResourceSets finds, in all files of a tree that hold YAML or JSON, the
// ResourceSets that do not wait for their providers. A release reads no files but those
// that it is made of, and a fleet repo may hold others that clusters get in another way.
// A file that cannot be read as YAML, such as the template of a chart, is left out.
func UnprotectedResourceSets(tree fs.FS) fleet.Problems {
	var problems fleet.Problems
	_ = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch path.Ext(name) {
		case ".yaml", ".yml", ".json":
			if err == nil && entry.Type().IsRegular() {
				problems = append(problems, unprotectedIn(tree, name)...)
			}
		}
		return nil
	})
	return problems.Sort()
}

func unprotectedIn(tree fs.FS, name string) (problems fleet.Problems) {
	defer func() {
		if reason := recover(); reason != nil {
			problems = nil // whatever reads the file reports it
		}
	}()
	data, err := kustomize.ReadFile(tree, name)
	if err != nil || !bytes.Contains(data, []byte(resourceSetKind)) {
		return nil
	}
	docs, _ := parseDocuments(name, data)
	for _, d := range docs {
		value, err := yamltext.ValueOf(d.root)
		if err != nil {
			continue
		}
		anything{}.decodeNode(d, "", d.root) // for the lines
		d.problems = nil
		CheckResourceSets(value, func(path, message string) { d.problem(path, "%s", message) })
		problems = append(problems, d.problems...)
	}
	return problems
}
