package render

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
)

// plugins vets generators, transformers and validators: kustomize's own are
// configured by objects that may name files, and others would be executed.
func (v *vetting) plugins(dir string, k *types.Kustomization, at func(field, value string) entry) {
	for field, entries := range map[string][]string{
		"generators": k.Generators, "transformers": k.Transformers, "validators": k.Validators,
	} {
		for _, text := range entries {
			e := at(field, text)
			var inline yaml.Node
			if yaml.Unmarshal([]byte(text), &inline) == nil && len(inline.Content) > 0 && inline.Content[0].Kind != yaml.ScalarNode {
				e.value = "it"
				v.pluginConfig(e, []byte(text))
			} else if clean, ok := v.file(dir, e); ok {
				data, err := readBounded(v.tree, clean)
				if err != nil {
					v.problem(e, "%s: %s", text, missing(err, ""))
				}
				v.pluginConfig(e, data)
			}
		}
	}
}

func (v *vetting) pluginConfig(e entry, data []byte) {
	if p := checkYAML(e.file, data); p != nil {
		v.note(*p)
		return
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			if !errors.Is(err, io.EOF) {
				v.problem(e, "%s: %v", e.value, err)
			}
			return
		}
		var head struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
		}
		_ = doc.Decode(&head) // what cannot be decoded is no builtin either
		if head.APIVersion != konfig.BuiltinPluginApiVersion || strings.HasPrefix(head.Kind, "Helm") {
			v.problem(e, "%s: %s of %q is no plugin that is run here; only kustomize's builtin ones are, without Helm", e.value, head.Kind, head.APIVersion)
		}
		if remote := remoteFile(&doc, false); remote != "" {
			v.problem(e, "%s: %s is remote; only files of the fleet repo are read", e.value, redact(remote))
		}
	}
}

// remoteFile finds a remote file that a plugin would load. Keys are compared
// as kustomize's decoder does, without regard to case.
func remoteFile(n *yaml.Node, loaded bool) string {
	switch n.Kind {
	case yaml.AliasNode:
		return remoteFile(n.Alias, loaded)
	case yaml.ScalarNode:
		if _, value, named := strings.Cut(n.Value, "="); loaded && named && isRemote(value) {
			return value
		}
		if loaded && isRemote(n.Value) {
			return n.Value
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if found := remoteFile(n.Content[i+1], loads(n.Content[i].Value)); found != "" {
				return found
			}
		}
	default:
		for _, child := range n.Content {
			if found := remoteFile(child, loaded); found != "" {
				return found
			}
		}
	}
	return ""
}

func loads(key string) bool {
	return slices.Contains([]string{"path", "paths", "file", "files", "env", "envs", "targetfilepath"}, strings.ToLower(key))
}
