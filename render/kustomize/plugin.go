package kustomize

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// plugins vets generators, transformers and validators. Those that are built into
// kustomize are configured by objects that may name files. All others would be executed,
// so they are refused.
func (v *Vetting) plugins(dir string, k *types.Kustomization, at func(field, value string) reference) {
	for field, entries := range map[string][]string{
		"generators": k.Generators, "transformers": k.Transformers, "validators": k.Validators,
	} {
		for _, text := range entries {
			r := at(field, text)
			var inline yaml.Node
			if yaml.Unmarshal([]byte(text), &inline) == nil && len(inline.Content) > 0 && inline.Content[0].Kind != yaml.ScalarNode {
				r.value = "it"
				v.pluginConfig(r, []byte(text))
			} else {
				v.pluginFiles(r, v.resource(dir, r, types.KustomizationKind))
			}
		}
	}
}

// pluginFiles vets the files of a reference to plugins: one file, or those of a
// kustomization.
func (v *Vetting) pluginFiles(r reference, found *vettedDir) {
	if found == nil || !found.valid {
		return
	}
	if !found.plain { // a patch could turn a harmless plugin into one that reaches the network
		v.problem(r, "the kustomization in %s does more than name files below it, and kustomizations of plugins may do no more", r.value)
		return
	}
	for _, file := range found.files {
		data, err := ReadFile(v.tree, file)
		if err != nil {
			v.problem(r, "%s: %s", file, Unreadable(err, ""))
		}
		at := r
		if found.dir != "" || !isYAML(data) {
			at = reference{file: file, value: "it"}
		}
		v.pluginConfig(at, data)
	}
}

func (v *Vetting) pluginConfig(r reference, data []byte) {
	if p := yamltext.Check(r.file, data); p != nil {
		v.report(*p)
		return
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			if !errors.Is(err, io.EOF) {
				v.report(r.syntaxProblem(data, err))
			}
			return
		}
		var head struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
		}
		_ = doc.Decode(&head) // what cannot be decoded is not built in either
		if head.APIVersion != konfig.BuiltinPluginApiVersion || strings.HasPrefix(head.Kind, "Helm") {
			v.problem(r, "%s: the plugin %s of %q is not run here; only those built into kustomize are, without Helm", r.value, head.Kind, head.APIVersion)
		}
		v.configured++
		v.checkPatterns(r.file, r.line, &doc, false)
		if remote := remoteFile(&doc, false); remote != "" {
			v.problem(r, "%s: %s is remote, and only files of the fleet repo are read", r.value, redact(remote))
		}
	}
}

func isYAML(data []byte) bool {
	var node yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		if err := dec.Decode(&node); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// syntaxProblem is a problem of text that is in the file of a reference, or inline at its line.
func (r reference) syntaxProblem(data []byte, err error) fleet.Problem {
	p := yamltext.SyntaxProblem(r.file, data, err)
	if r.line > 0 {
		p.Line, p.Column, p.Field = r.line, 0, r.field
	}
	return p
}

// remoteFile finds a remote file that a plugin would load; "" for none. loaded reports
// that n is the value of a key whose files are loaded.
func remoteFile(n *yaml.Node, loaded bool) string {
	switch n.Kind {
	case yaml.AliasNode:
		return remoteFile(n.Alias, loaded)
	case yaml.ScalarNode:
		if _, value, named := strings.Cut(n.Value, "="); loaded && named && isRemoteFile(value) {
			return value
		}
		if loaded && isRemoteFile(n.Value) {
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

// loads reports whether a plugin loads the files under a key. kustomize's decoder ignores
// the case of keys.
func loads(key string) bool {
	return slices.Contains([]string{"path", "paths", "file", "files", "env", "envs", "targetfilepath"}, strings.ToLower(key))
}

// A user, a host, and a path: what Git's scp syntax needs at least.
var scpPath = regexp.MustCompile(`^[a-z][a-z0-9-]*@[^/:]*[/:]`)

// isRemote reports whether kustomize might download or clone a path. When in doubt it
// returns true: kustomize tries a URL before a directory of that name.
func isRemote(p string) bool {
	lower := strings.TrimPrefix(strings.ToLower(p), "git::")
	return strings.Contains(lower, "://") || scpPath.MatchString(lower) ||
		strings.HasPrefix(lower, "github.com/") || strings.HasPrefix(lower, "github.com:")
}

// isRemoteFile reports whether kustomize downloads a file that it only reads, such as a
// patch.
func isRemoteFile(p string) bool {
	u, err := url.Parse(p)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// redact removes credentials and the query from a URL, because messages are logged.
func redact(p string) string {
	u, err := url.Parse(p)
	if err != nil || u.Scheme == "" {
		before, _, _ := strings.Cut(p, "?")
		return before
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
