// Package bootstrap makes the manifests that a new cluster needs to follow its fleet: a
// Job that registers the cluster, a ResourceSetInputProvider for each input set, and the
// fleet repo's ResourceSets.
//
//	m := bootstrap.Manifests{Cluster: "edge-7", ServerURL: url, Namespace: "flux-system", ...}
//	err := m.Print(os.Stdout)
package bootstrap

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/server/api"
)

//go:embed manifests.yaml.tmpl
var text string

// Manifests describes the manifests of one cluster. manifests.yaml.tmpl uses its fields
// and methods.
type Manifests struct {
	Cluster   string
	Labels    map[string]string
	DNS       string // "" for none
	ServerURL string // as the cluster reaches the server
	Namespace string // of every manifest
	Image     string // of the Job
	Interval  time.Duration
	Schedule  []api.Schedule // of the providers; empty for any time

	Token   string // the bootstrap token
	TokenID string
	CA      string // certificates to trust in PEM, "" for none

	Fleet api.Bootstrap // the input sets and ResourceSets
}

// FollowFleet sets the interval, unless the user has, and the schedule as fleet.yaml has them for the
// labels of the cluster.
func (m *Manifests) FollowFleet(keepInterval bool) error {
	for _, r := range m.Fleet.Providers {
		selector, err := labels.Parse(r.Selector)
		if err != nil {
			return err
		}
		if !selector.Matches(labels.Set(m.Labels)) {
			continue
		}
		m.Schedule = r.Schedule
		if !keepInterval && r.ReconcileEvery != "" {
			m.Interval, err = time.ParseDuration(r.ReconcileEvery)
		}
		return err
	}
	return nil
}

// TokenSecret is the name of the Secret that holds the cluster's own token.
func (m Manifests) TokenSecret() string { return "tributary-token" }

// Job is the name of the Job. It differs for each token, because a Job can neither be
// changed nor run again.
func (m Manifests) Job() string {
	return fmt.Sprintf("tributary-register-%x", sha256.Sum256([]byte(m.TokenID)))[:len("tributary-register-")+8]
}

// Insecure reports whether the cluster polls without TLS.
func (m Manifests) Insecure() bool { return strings.HasPrefix(m.ServerURL, "http://") }

// Args are the arguments of the Job, which runs tributary register.
func (m Manifests) Args() []string {
	args := []string{"register", "--server=" + m.ServerURL, "--token-file=/etc/tributary/bootstrap/token",
		"--name=" + m.Cluster, "--secret=" + m.Namespace + "/" + m.TokenSecret()}
	if len(m.Labels) > 0 {
		var pairs []string
		for _, key := range slices.Sorted(maps.Keys(m.Labels)) {
			pairs = append(pairs, key+"="+m.Labels[key])
		}
		args = append(args, "--labels="+strings.Join(pairs, ","))
	}
	if m.DNS != "" {
		args = append(args, "--dns="+m.DNS)
	}
	if m.CA != "" {
		args = append(args, "--ca-file=/etc/tributary/ca/ca.crt")
	}
	return args
}

// Provider is a ResourceSetInputProvider.
type Provider struct {
	api.BootstrapSet
	URL string // that the cluster polls
}

// Providers returns a provider for each input set.
func (m Manifests) Providers() []Provider {
	polls := strings.TrimSuffix(m.ServerURL, "/") + "/api/v1/flux/clusters/" + url.PathEscape(m.Cluster) + "/"
	all := make([]Provider, len(m.Fleet.Sets))
	for i, set := range m.Fleet.Sets {
		all[i] = Provider{set, polls + url.PathEscape(set.Name)}
	}
	return all
}

// ResourceSets returns the fleet repo's ResourceSets as YAML. Those without a namespace
// get the namespace of the providers, which they could not find from elsewhere, and so do
// their dependencies on providers.
func (m Manifests) ResourceSets() ([]string, error) {
	var all []string
	for _, text := range m.Fleet.ResourceSets {
		var set map[string]any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&set); err != nil {
			return nil, err
		}
		if meta, ok := set["metadata"].(map[string]any); ok && namespaceOf(set) == "" {
			meta["namespace"] = m.Namespace
			for _, d := range providerDependencies(set) {
				if d["namespace"] == nil {
					d["namespace"] = m.Namespace
				}
			}
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

// providerDependencies returns the dependencies of a ResourceSet on providers.
func providerDependencies(set map[string]any) (all []map[string]any) {
	spec, _ := set["spec"].(map[string]any)
	list, _ := spec["dependsOn"].([]any)
	for _, entry := range list {
		if d, ok := entry.(map[string]any); ok && d["kind"] == any("ResourceSetInputProvider") {
			all = append(all, d)
		}
	}
	return all
}

// Warnings returns what may not work in the cluster.
func (m Manifests) Warnings() (all []string) {
	if m.Insecure() {
		all = append(all, m.ServerURL+" means this machine, and inside the cluster it means another one; name the server's address in the cluster with --server-url")
	}
	if len(m.Fleet.ResourceSets) == 0 {
		all = append(all, "the fleet repo has no ResourceSets in resourcesets/, so Flux creates nothing from the inputs yet")
	}
	for _, text := range m.Fleet.ResourceSets {
		var set map[string]any
		if err := json.Unmarshal(text, &set); err != nil {
			continue // Print reports it
		}
		if namespace := namespaceOf(set); namespace != "" && namespace != m.Namespace {
			all = append(all, fmt.Sprintf("a ResourceSet is in namespace %q, where it does not find the providers, which are in %q", namespace, m.Namespace))
			continue
		}
		for _, d := range providerDependencies(set) {
			if there, given := d["namespace"].(string); given && there != m.Namespace {
				all = append(all, fmt.Sprintf("a ResourceSet waits for provider %q in namespace %q, and the providers are in %q", d["name"], there, m.Namespace))
			}
		}
	}
	return all
}

// Print prints all manifests, or nothing if there is an error.
func (m Manifests) Print(w io.Writer) error {
	quoted := func(v any) (string, error) { // a JSON string is a YAML string too
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		err := enc.Encode(v)
		return strings.TrimSpace(b.String()), err
	}
	t, err := template.New("bootstrap").Funcs(template.FuncMap{"quoted": quoted}).Parse(text)
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
