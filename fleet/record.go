package fleet

import (
	"encoding/json"
	"time"
)

// ClusterRecord is what the API knows of a cluster beside its deltas: a declaration, or a
// tombstone. A cluster that only its file declares has none.
type ClusterRecord struct {
	Cluster string `json:"cluster"`
	// Since is the generation at which the API came to declare the cluster. A cluster that gets
	// the name after a purge is another cluster.
	Since int64 `json:"since,omitempty"`
	// Declared is how the API declares it; nil where it does not. Where the fleet repo declares
	// the cluster too, the file counts.
	Declared *Declaration `json:"declared,omitempty"`
	// Decommissioned is its tombstone; nil while it is in use. It beats the fleet repo and
	// Declared.
	Decommissioned *Tombstone `json:"decommissioned,omitempty"`
}

// Declaration is a cluster as the API declares it. It has the fields of a cluster file.
type Declaration struct {
	DNS        string            `json:"dns,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Overlay    string            `json:"overlay,omitempty"`
	Components []string          `json:"components,omitempty"`
	// Resources are whole objects.
	Resources []json.RawMessage `json:"resources,omitempty"`
	Patches   []Patch           `json:"patches,omitempty"`
}

// Named returns the declaration as the cluster of that name.
func (d *Declaration) Named(name string) *Cluster {
	c := &Cluster{Name: name, DNS: d.DNS, Labels: d.Labels, Overlay: d.Overlay, Components: d.Components, Patches: d.Patches}
	for _, text := range d.Resources {
		c.Resources = append(c.Resources, Resource{YAML: string(text), JSON: true})
	}
	return c
}

// Tombstone marks a cluster that is decommissioned: every set is answered empty. It keeps what
// the cluster was.
type Tombstone struct {
	Generation int64             `json:"generation"`
	At         time.Time         `json:"at"`
	DNS        string            `json:"dns,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	// Sets are the input sets that it was served. They are answered empty whatever becomes of
	// them in fleet.yaml, because what they made must go.
	Sets []string `json:"sets,omitempty"`
	// Row is the assignment that it had, its release explicit even where that was the live one.
	Row *Assignment `json:"row,omitempty"`
}

// IsEmpty reports whether the record says nothing. It may be nil.
func (r *ClusterRecord) IsEmpty() bool {
	return r == nil || r.Declared == nil && r.Decommissioned == nil
}

// IsDeclared reports whether the API declares the cluster. The record may be nil.
func (r *ClusterRecord) IsDeclared() bool { return r != nil && r.Declared != nil }

// IsDecommissioned reports whether the cluster has a tombstone. The record may be nil.
func (r *ClusterRecord) IsDecommissioned() bool { return r != nil && r.Decommissioned != nil }
