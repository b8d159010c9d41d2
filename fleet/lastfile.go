package fleet

// ClusterFile is what the file of a cluster said last. It is kept where the release
// that the cluster is on is from before the file, to which a pin may take it: what the
// cluster is served is made of both.
type ClusterFile struct {
	File       string            `json:"file"`
	DNS        string            `json:"dns,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Overlay    string            `json:"overlay,omitempty"`
	Components []string          `json:"components,omitempty"`
	// Resources are whole objects, one YAML document each.
	Resources []string `json:"resources,omitempty"`
	Patches   []Patch  `json:"patches,omitempty"`
}

// lastFile is what the member's file said, where the release that it is on does not
// have it; else nil.
func (m *Member) lastFile() *ClusterFile {
	c := m.Cluster
	if _, there := m.base.clusters[c.Name]; there || c.File == "" {
		return nil
	}
	f := &ClusterFile{File: c.File, DNS: c.DNS, Labels: c.Labels, Overlay: c.Overlay, Components: c.Components, Patches: c.Patches}
	for _, r := range c.Resources {
		f.Resources = append(f.Resources, r.YAML)
	}
	return f
}

// cluster is the file in the form that is rendered.
func (f *ClusterFile) cluster(name string) *Cluster {
	c := &Cluster{Name: name, File: f.File, DNS: f.DNS, Labels: f.Labels, Overlay: f.Overlay, Components: f.Components, Patches: f.Patches}
	for _, text := range f.Resources {
		c.Resources = append(c.Resources, Resource{YAML: text})
	}
	return c
}
