package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/server/api"
)

//go:embed bootstrap.yaml.tmpl
var bootstrapText string

// bootstrapManifest is what bootstrap.yaml.tmpl is filled with.
type bootstrapManifest struct {
	options *bootstrapOptions
	Cluster string
	// Token is the bootstrap token, CA the certificates to trust, "" for none.
	Token, CA string

	tokenID string
	answer  api.Bootstrap
}

// bootstrapProvider is a ResourceSetInputProvider.
type bootstrapProvider struct {
	api.BootstrapSet
	URL string
}

// Namespace is where all of it goes.
func (m *bootstrapManifest) Namespace() string { return m.options.namespace }

// Image is that of the Job.
func (m *bootstrapManifest) Image() string { return m.options.image }

// Interval is how often the cluster polls.
func (m *bootstrapManifest) Interval() string { return m.options.interval.String() }

// Args are those of the Job.
func (m *bootstrapManifest) Args() []string { return m.options.flags(m) }

// TokenSecret is the Secret with the cluster's own token.
func (m *bootstrapManifest) TokenSecret() string { return tokenSecret }

// Job is another for each token, because a Job cannot be changed, nor run again.
func (m *bootstrapManifest) Job() string {
	return fmt.Sprintf("tributary-register-%x", sha256.Sum256([]byte(m.tokenID)))[:len("tributary-register-")+8]
}

// Insecure tells whether the cluster polls without TLS, which a server on the same
// machine allows.
func (m *bootstrapManifest) Insecure() bool {
	return strings.HasPrefix(m.options.serverURL, "http://")
}

// Providers are those of all sets.
func (m *bootstrapManifest) Providers() []bootstrapProvider {
	all := make([]bootstrapProvider, len(m.answer.Sets))
	for i, set := range m.answer.Sets {
		all[i] = bootstrapProvider{set, m.options.pollURL(m.Cluster, set.Name)}
	}
	return all
}

// ResourceSets are those of the fleet repo, as YAML. One without a namespace goes
// where the providers are, since it could not find them elsewhere.
func (m *bootstrapManifest) ResourceSets() ([]string, error) {
	var all []string
	for _, text := range m.answer.ResourceSets {
		var set map[string]any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&set); err != nil {
			return nil, err
		}
		if meta, ok := set["metadata"].(map[string]any); ok && namespaceOf(set) == "" {
			meta["namespace"] = m.options.namespace
		}
		body, err := yaml.Marshal(set)
		if err != nil {
			return nil, err
		}
		all = append(all, string(body))
	}
	return all, nil
}

func namespaceOf(object map[string]any) string {
	meta, _ := object["metadata"].(map[string]any)
	namespace, _ := meta["namespace"].(string)
	return namespace
}

// warnings are what may not work out in the cluster.
func (m *bootstrapManifest) warnings() (all []string) {
	if m.Insecure() {
		all = append(all, m.options.serverURL+" is this machine to whoever runs there: in the cluster that is another one; name the server with --server-url")
	}
	if len(m.answer.ResourceSets) == 0 {
		all = append(all, "the fleet repo has no ResourceSets in resourcesets/, so nothing is made of the inputs yet")
	}
	for _, text := range m.answer.ResourceSets {
		var set map[string]any
		if err := json.Unmarshal(text, &set); err != nil {
			continue // Printing it tells of that.
		}
		if namespace := namespaceOf(set); namespace != "" && namespace != m.options.namespace {
			all = append(all, fmt.Sprintf("a ResourceSet goes into namespace %q, where it does not find the providers: they go into %q", namespace, m.options.namespace))
		}
	}
	return all
}

// print fills the text at once, so that no half of it is applied.
func (m *bootstrapManifest) print(w io.Writer) error {
	quoted := func(v any) (string, error) { // A text in JSON is one in YAML.
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		err := enc.Encode(v)
		return strings.TrimSpace(b.String()), err
	}
	t, err := template.New("bootstrap").Funcs(template.FuncMap{"quoted": quoted}).Parse(bootstrapText)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, m); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}
