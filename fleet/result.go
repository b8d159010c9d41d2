package fleet

// Result is what came of a write, or what would come of it in a dry run. The JSON form is that of
// the API.
type Result struct {
	// Generation is that of the change, or the present one where nothing changed.
	Generation int64 `json:"generation"`
	DryRun     bool  `json:"dryRun,omitempty"`
	// Changes are the inputs that differ now, by cluster, set and ID.
	Changes []InputChange `json:"changes"`
	// Removed is how many inputs clusters lose: Flux deletes what it made of them.
	Removed int `json:"removed,omitempty"`
	// Clusters are those that the write was for, sorted.
	Clusters []string `json:"clusters"`
	// Lists are the lists of clusters that lose or gain some, and Reowned the dns names by which
	// another cluster is found now.
	Lists   []ListEffect  `json:"lists,omitempty"`
	Reowned []ReownedName `json:"reownedNames,omitempty"`
	// Warnings are what may not be as it was meant.
	Warnings []string `json:"warnings,omitempty"`
}

// ClusterState is the state of a cluster.
type ClusterState string

const (
	// ClusterActive is a cluster that is served from the release that it is on.
	ClusterActive ClusterState = "active"
	// ClusterOrphaned is a cluster whose file has vanished. It stays on the release that it was on.
	ClusterOrphaned ClusterState = "orphaned"
	// ClusterDecommissioned is a cluster whose sets are all answered empty.
	ClusterDecommissioned ClusterState = "decommissioned"
)
