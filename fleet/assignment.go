package fleet

// Reason is why a cluster is not simply on the live release.
type Reason string

const (
	// ReasonRollout means that the rollout in progress has reached the cluster.
	ReasonRollout Reason = "rollout"
	// ReasonSuperseded means that the cluster got its release from a rollout that a newer release took
	// over. It stays until a wave of the newer one reaches it.
	ReasonSuperseded Reason = "superseded"
	// ReasonPinned means that a pin keeps the cluster on the release.
	ReasonPinned Reason = "pinned"
	// ReasonFailing means that the release that the cluster should be on is not valid for it.
	ReasonFailing Reason = "failing"
	// ReasonOrphaned means that the file of the cluster has vanished. It stays on the release it was on.
	ReasonOrphaned Reason = "orphaned"
)

// Assignment is the row of one cluster that is not simply on the live release. It is immutable.
//
// The release of a row is stored, or zero. A cluster without a row is in the files of the live
// release or declared through the API. No Failing row is on the release that the cluster should
// be on. A tombstone has no row but the one that it keeps itself.
type Assignment struct {
	Cluster string `json:"cluster"`
	// Release is what the cluster is served. Zero means that no release is valid for it yet;
	// polls answer 503.
	Release ReleaseRef `json:"release"`
	Reason  Reason     `json:"reason"`
	// Detail is the pin's name, or the first fault.
	Detail string `json:"detail,omitempty"`
	// Spec is what the cluster's file said last. It is set only where neither Release nor the
	// live release has a readable file, or where Release has none and what the live release's
	// file says is not valid for the cluster there.
	Spec *ClusterSpec `json:"spec,omitempty"`
	// Since is the generation of the change that put the cluster there.
	Since int64 `json:"since"`
	// Previous is the Superseded or Failing row that this row covers. It is one deep: Previous
	// of Previous is nil.
	Previous *Assignment `json:"previous,omitempty"`
}

// Why returns why the row keeps the cluster where it is, for people; "" for a rollout.
func (a *Assignment) Why() string {
	switch a.Reason {
	case ReasonOrphaned:
		return "its file has vanished; it stays on its release until the file is back, or it is declared or decommissioned"
	case ReasonSuperseded:
		return "a newer release took over its rollout"
	case ReasonPinned:
		return "pin " + a.Detail + " keeps it there"
	case ReasonFailing:
		return a.Detail
	case ReasonRollout:
	}
	return ""
}

// ClusterSpec is what a cluster's file said last, kept in the log because no release that is
// at hand has the file any more.
type ClusterSpec struct {
	File       string            `json:"file"`
	DNS        string            `json:"dns,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Overlay    string            `json:"overlay,omitempty"`
	Components []string          `json:"components,omitempty"`
	// Resources are whole objects, one YAML document each.
	Resources []string `json:"resources,omitempty"`
	Patches   []Patch  `json:"patches,omitempty"`
}

// SpecOf returns the spec of a cluster that was read from a file.
func SpecOf(c *Cluster) *ClusterSpec {
	s := &ClusterSpec{File: c.File, DNS: c.DNS, Labels: c.Labels, Overlay: c.Overlay, Components: c.Components}
	for _, r := range c.Resources {
		s.Resources = append(s.Resources, r.YAML)
	}
	for _, p := range c.Patches {
		p.Line = 0 // of a file that is gone; the store does not have it either
		s.Patches = append(s.Patches, p)
	}
	return s
}

// Named returns the spec as the cluster of that name.
func (s *ClusterSpec) Named(name string) *Cluster {
	c := &Cluster{Name: name, File: s.File, DNS: s.DNS, Labels: s.Labels, Overlay: s.Overlay, Components: s.Components, Patches: s.Patches}
	for _, text := range s.Resources {
		c.Resources = append(c.Resources, Resource{YAML: text, JSON: s.File == ""}) // a declaration's are JSON
	}
	return c
}

// AssignmentChange is what became of one cluster's row; nil stands for none.
type AssignmentChange struct {
	Cluster string      `json:"cluster"`
	Before  *Assignment `json:"before,omitempty"`
	After   *Assignment `json:"after,omitempty"`
}
