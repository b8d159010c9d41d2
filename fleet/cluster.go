package fleet

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Cluster is one member of the fleet, as it was declared: by a file of the
// fleet repo or through the API. It is immutable once it has been read, and is handed on by
// its place: one that nobody has declared anew is one thing in memory from release to release.
type Cluster struct {
	Name   string            `json:"name"`
	DNS    string            `json:"dns,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// Overlay overrides placement; Components are added to placement's. Both
	// are directories relative to the root of the fleet repo.
	Overlay    string   `json:"overlay,omitempty"`
	Components []string `json:"components,omitempty"`
	// Resources are whole objects, one YAML document each.
	Resources []Resource `json:"-"`
	Patches   []Patch    `json:"-"`
	// File and Line say where the cluster is declared in the fleet repo.
	File string `json:"file,omitempty"`
	Line int    `json:"-"`
}

// Equal tells whether two clusters are declared the same, in the same place.
func (c *Cluster) Equal(other *Cluster) bool {
	return c == other || c.SameIdentity(other) && c.Overlay == other.Overlay && c.File == other.File && c.Line == other.Line &&
		slices.Equal(c.Components, other.Components) && slices.Equal(c.Resources, other.Resources) &&
		slices.EqualFunc(c.Patches, other.Patches, Patch.Equal)
}

// SameIdentity tells whether inputs say the same of two clusters.
func (c *Cluster) SameIdentity(other *Cluster) bool {
	return c.Name == other.Name && c.DNS == other.DNS && maps.Equal(c.Labels, other.Labels)
}

// Equal tells whether two patches say the same, in the same line.
func (p Patch) Equal(other Patch) bool {
	return p.Patch == other.Patch && p.Options == other.Options && p.Line == other.Line &&
		(p.Target == other.Target || p.Target != nil && other.Target != nil && *p.Target == *other.Target)
}

// Resource is one object of a cluster, as text, because kustomize's reading of
// YAML differs from other libraries' and is the one that counts.
type Resource struct {
	YAML string
	// JSON tells that it is: not all JSON is read as the same by YAML's rules.
	JSON bool
	Line int
}

// Patch means what an entry of kustomization.yaml's `patches` means.
type Patch struct {
	// Patch is a strategic merge patch or a JSON patch (RFC 6902), as text.
	Patch   string       `json:"patch"`
	Target  *Target      `json:"target,omitempty"`
	Options PatchOptions `json:"options,omitzero"`
	Line    int          `json:"-"`
}

// Target selects the objects of a patch; Group, Version, Kind, Name and
// Namespace are anchored regular expressions, as in kustomize.
type Target struct {
	Group              string `json:"group,omitempty"`
	Version            string `json:"version,omitempty"`
	Kind               string `json:"kind,omitempty"`
	Name               string `json:"name,omitempty"`
	Namespace          string `json:"namespace,omitempty"`
	LabelSelector      string `json:"labelSelector,omitempty"`
	AnnotationSelector string `json:"annotationSelector,omitempty"`
}

// PatchOptions are kustomize's options of a patch.
type PatchOptions struct {
	AllowNameChange bool `json:"allowNameChange,omitempty"`
	AllowKindChange bool `json:"allowKindChange,omitempty"`
}

// EnvironmentLabel is the label whose value every input carries as `cluster.environment`.
const EnvironmentLabel = "environment"

// Identity is what every input says of its cluster, under the key `cluster`.
type Identity struct {
	DNS         string            `json:"dns"`
	Environment string            `json:"environment"`
	Labels      map[string]string `json:"labels"`
	Name        string            `json:"name"`
}

// Identity returns the cluster's own; its labels are shared, and never nil.
func (c *Cluster) Identity() Identity {
	labels := c.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return Identity{Name: c.Name, DNS: c.DNS, Environment: labels[EnvironmentLabel], Labels: labels}
}

// Placement is what the rules of fleet.yaml and the cluster's own fields chose for it.
type Placement struct {
	Overlay    string   `json:"overlay"`
	Components []string `json:"components,omitempty"`
}

// MaxLabels bounds the labels that the API declares of a cluster, because every
// input carries them.
const MaxLabels = 64

// WrongLabel says why a label is none of Kubernetes'; "" where it is one.
func WrongLabel(key, value string) string {
	wrong := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...)
	if len(wrong) == 0 {
		return ""
	}
	return "no Kubernetes label: " + wrong[0]
}

// IsClusterDNS tells whether a text may be a cluster's dns: a DNS name with a dot
// in it, so that no cluster's name can be taken for it.
func IsClusterDNS(text string) bool {
	return len(validation.IsDNS1123Subdomain(text)) == 0 && strings.Contains(text, ".")
}
