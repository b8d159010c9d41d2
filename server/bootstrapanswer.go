package server

import "encoding/json"

// BootstrapAnswer is what the Flux Operator of a cluster needs to follow the fleet.
type BootstrapAnswer struct {
	// Sets are the input sets, in fleet.yaml's order.
	Sets []BootstrapSet `json:"sets"`
	// ResourceSets are those of the fleet repo, whole, sorted by namespace and name.
	ResourceSets []json.RawMessage `json:"resourceSets"`
}

// BootstrapSet is an input set as its ResourceSetInputProvider asks for it.
type BootstrapSet struct {
	Name string `json:"name"`
	// Limit is the provider's spec.filter.limit.
	Limit int `json:"limit"`
}
