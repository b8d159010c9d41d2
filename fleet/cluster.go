package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Cluster is one member of the fleet, as it was declared: by a file of the fleet repo or
// through the API. It is immutable. A cluster whose declaration did not change is the same
// pointer from release to release.
type Cluster struct {
	Name   string            `json:"name"`
	DNS    string            `json:"dns,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// Overlay overrides the placement's overlay, and Components are added to the placement's.
	// Both are directories relative to the root of the fleet repo.
	Overlay    string   `json:"overlay,omitempty"`
	Components []string `json:"components,omitempty"`
	// Resources are whole objects, one YAML document each.
	Resources []Resource `json:"-"`
	Patches   []Patch    `json:"-"`
	// File and Line say where the fleet repo declares the cluster; empty where the API does.
	File string `json:"file,omitempty"`
	Line int    `json:"-"`
}

// Equal reports whether two clusters are declared the same, in the same place.
func (c *Cluster) Equal(other *Cluster) bool {
	return c == other || c.SameIdentity(other) && c.Overlay == other.Overlay && c.File == other.File && c.Line == other.Line &&
		slices.Equal(c.Components, other.Components) && slices.Equal(c.Resources, other.Resources) &&
		slices.EqualFunc(c.Patches, other.Patches, Patch.Equal)
}

// SameIdentity reports whether inputs say the same about two clusters.
func (c *Cluster) SameIdentity(other *Cluster) bool {
	return c.Name == other.Name && c.DNS == other.DNS && maps.Equal(c.Labels, other.Labels)
}

// Equal reports whether two patches say the same, in the same line.
func (p Patch) Equal(other Patch) bool {
	return p.Patch == other.Patch && p.Options == other.Options && p.Line == other.Line &&
		(p.Target == other.Target || p.Target != nil && other.Target != nil && *p.Target == *other.Target)
}

// Resource is one object of a cluster, as text, because kustomize reads YAML differently from
// other libraries, and its reading counts.
type Resource struct {
	YAML string
	// JSON reports that the text is JSON. Not all JSON reads the same by the rules of YAML.
	JSON bool
	Line int
}

// Patch has the meaning of an entry of kustomization.yaml's `patches`.
type Patch struct {
	// Patch is a strategic merge patch or a JSON patch (RFC 6902), as text.
	Patch   string       `json:"patch"`
	Target  *Target      `json:"target,omitempty"`
	Options PatchOptions `json:"options,omitzero"`
	Line    int          `json:"-"`
}

// Target selects the objects of a patch. Group, Version, Kind, Name and Namespace are anchored
// regular expressions, as in kustomize.
type Target struct {
	Group              string `json:"group,omitempty"`
	Version            string `json:"version,omitempty"`
	Kind               string `json:"kind,omitempty"`
	Name               string `json:"name,omitempty"`
	Namespace          string `json:"namespace,omitempty"`
	LabelSelector      string `json:"labelSelector,omitempty"`
	AnnotationSelector string `json:"annotationSelector,omitempty"`
}

// PatchOptions are kustomize's options for a patch.
type PatchOptions struct {
	AllowNameChange bool `json:"allowNameChange,omitempty"`
	AllowKindChange bool `json:"allowKindChange,omitempty"`
}

// EnvironmentLabel is the label whose value every input carries as `cluster.environment`.
const EnvironmentLabel = "environment"

// Identity is what every input says about its cluster, under the key `cluster`.
type Identity struct {
	DNS         string            `json:"dns"`
	Environment string            `json:"environment"`
	Labels      map[string]string `json:"labels"`
	Name        string            `json:"name"`
}

// Identity returns the cluster's identity. Its labels are shared with c, and never nil.
func (c *Cluster) Identity() Identity {
	labels := c.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return Identity{Name: c.Name, DNS: c.DNS, Environment: labels[EnvironmentLabel], Labels: labels}
}

// Placement is what the rules of fleet.yaml and the cluster's own fields choose for it.
type Placement struct {
	Overlay    string   `json:"overlay"`
	Components []string `json:"components,omitempty"`
}

// MaxLabels limits the labels of a cluster that the API declares, because every input carries
// them.
const MaxLabels = 64

// WrongLabel returns why a label is not valid in Kubernetes; "" where it is.
func WrongLabel(key, value string) string {
	const name = "have at most 63 letters, digits, -, _ and ., and begin and end with a letter or digit"
	switch {
	case len(validation.IsQualifiedName(key)) > 0:
		return "is not a valid Kubernetes label: the key must " + name + "; a DNS name and / may precede it"
	case len(validation.IsValidLabelValue(value)) > 0:
		return fmt.Sprintf("is not a valid Kubernetes label: the value %q must ", value) + name
	}
	return ""
}

// CheckLabels returns a problem for each label that is not valid in Kubernetes, and one where
// there are more than MaxLabels.
func CheckLabels(labels map[string]string) Problems {
	var problems Problems
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if wrong := WrongLabel(key, labels[key]); wrong != "" {
			problems = append(problems, Problem{Field: "labels." + key, Message: wrong})
		}
	}
	if len(labels) > MaxLabels {
		problems = append(problems, Problem{Field: "labels", Message: fmt.Sprintf("must be at most %d", MaxLabels)})
	}
	return problems
}

// IsClusterDNS reports whether a text can be a cluster's dns: a DNS name that contains a dot, so
// that it cannot be confused with a cluster's name.
func IsClusterDNS(text string) bool {
	return len(validation.IsDNS1123Subdomain(text)) == 0 && strings.Contains(text, ".")
}
