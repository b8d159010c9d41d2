package fleet

import "time"

// Pin keeps clusters on one release, whatever goes live, until it is taken away or
// expires. Of several that are for a cluster the one that names it holds, then the
// first by name.
type Pin struct {
	// Name is a DNS-1123 label.
	Name string `json:"name"`
	// Clusters or Selector say which clusters, and not both. An empty selector is
	// for the whole fleet.
	Clusters []string  `json:"clusters,omitempty"`
	Selector *Selector `json:"selector,omitempty"`
	// Release is the ID of the release.
	Release string `json:"release"`
	// Revision is that of the release; it is told, and not asked for.
	Revision string `json:"revision,omitempty"`
	// Reason is kept in history.
	Reason string `json:"reason,omitempty"`
	// ExpiresAt is when the pin is withdrawn by itself; nil for never.
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	// Snapshot is the digest of the release's tree; it is told as well.
	Snapshot string `json:"snapshot,omitempty"`
}
