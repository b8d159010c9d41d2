package fleet

import (
	"encoding/json"
	"time"
)

// ClusterRecord is what the change log says of a cluster beside its deltas. A
// cluster of which there is nothing to say but its file has none.
type ClusterRecord struct {
	// Cluster is the cluster's name.
	Cluster string `json:"cluster"`
	// Since is the generation by which the API came to declare it: one that has its name
	// after a purge is another cluster.
	Since int64 `json:"since,omitempty"`
	// Declared is how the API declares it; nil where it does not. Where the fleet
	// repo declares it too, the file holds.
	Declared *Declaration `json:"declared,omitempty"`
	// Orphaned is what it is frozen on since its file has vanished; else nil.
	Orphaned *Orphaned `json:"orphaned,omitempty"`
	// Stays is the release that it stays on while the fleet goes on; nil where it goes
	// with it, and where it is orphaned.
	Stays *Stay `json:"stays,omitempty"`
	// Decommissioned is its tombstone; nil while it is in use. It beats the fleet
	// repo and Declared.
	Decommissioned *Tombstone `json:"decommissioned,omitempty"`
}

// Declaration is a cluster as the API declares it: what a cluster file says.
type Declaration struct {
	DNS        string            `json:"dns,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Overlay    string            `json:"overlay,omitempty"`
	Components []string          `json:"components,omitempty"`
	// Resources are whole objects.
	Resources []json.RawMessage `json:"resources,omitempty"`
	Patches   []Patch           `json:"patches,omitempty"`
}

// Orphaned says which release a cluster is frozen on.
type Orphaned struct {
	// Since is the generation at which its file vanished, with a release.
	Since   int64       `json:"since"`
	Release LiveRelease `json:"release"`
	// DNS and Labels are what the file said.
	DNS    string            `json:"dns,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// File is all that it said, where the release does not have it.
	File *ClusterFile `json:"file,omitempty"`
}

// Tombstone says that a cluster is to have nothing any more, and who it was.
type Tombstone struct {
	Generation int64             `json:"generation"`
	At         time.Time         `json:"at"`
	DNS        string            `json:"dns,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	// Sets are the input sets that it was served. They are answered empty, whatever
	// becomes of them in fleet.yaml, because what they made is to go.
	Sets []string `json:"sets,omitempty"`
}

// RecordChange is what became of what the log says of one cluster; nil stands for
// nothing.
type RecordChange struct {
	Cluster string         `json:"cluster"`
	Before  *ClusterRecord `json:"before,omitempty"`
	After   *ClusterRecord `json:"after,omitempty"`
}

// Purged tells whether the change forgets a decommissioned cluster.
func (c RecordChange) Purged() bool {
	return c.After == nil && c.Before != nil && c.Before.Decommissioned != nil
}

// isEmpty tells whether a record says nothing.
func (r *ClusterRecord) isEmpty() bool {
	return r == nil || r.Declared == nil && r.Orphaned == nil && r.Stays == nil && r.Decommissioned == nil
}

// cluster is the declaration in the form that is rendered.
func (d *Declaration) cluster(name string) *Cluster {
	c := &Cluster{Name: name, DNS: d.DNS, Labels: d.Labels, Overlay: d.Overlay, Components: d.Components, Patches: d.Patches}
	for _, text := range d.Resources {
		c.Resources = append(c.Resources, Resource{YAML: string(text), JSON: true})
	}
	return c
}
