package fleet

import "time"

// WaveRule is an entry of spec.rollout.waves of fleet.yaml: which clusters a release
// reaches next, and what has to be before it goes on. A cluster is of the first wave
// that selects it; those that none selects come last.
type WaveRule struct {
	Name     string
	Selector Selector
	// Soak is how long the wave has the release before the next one gets it.
	Soak time.Duration
	// Manual has the rollout wait for somebody to resume it after the wave.
	Manual bool
	// Polled is the share of its clusters, in per cent, that must have polled the
	// release; DefaultPolled where fleet.yaml does not say.
	Polled int
}

// DefaultPolled is what of a wave's clusters must have polled the release: not all,
// because some sleep.
const DefaultPolled = 90
