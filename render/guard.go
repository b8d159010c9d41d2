package render

import "github.com/tributary-gitops/tributary/fleet"

// guard is spec.guard of fleet.yaml: fleet.Guard as it is written.
type guard struct {
	RemovedPerCluster  fleet.Limit `json:"removedPerCluster"`
	RemovedPerFleet    fleet.Limit `json:"removedPerFleet"`
	FailingClusters    fleet.Limit `json:"failingClusters"`
	AllowEmptySets     bool        `json:"allowEmptySets"`
	AllowVanishedSets  bool        `json:"allowVanishedSets"`
	AllowOrphanedParts bool        `json:"allowOrphanedParts"`
}

// Guard implements fleet.Repo.
func (r *Repo) Guard() fleet.Guard { return r.guard }
