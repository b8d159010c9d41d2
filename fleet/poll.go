package fleet

import "time"

// Poll is the last poll of one input set of one cluster.
type Poll struct {
	Cluster string `json:"-"`
	Set     string `json:"set"`
	// At is when it was, to the microsecond.
	At time.Time `json:"at"`
	// Generation is what it was answered at.
	Generation int64 `json:"generation"`
	// Release is the ID of the release that it was given.
	Release string `json:"release,omitempty"`
	// Every is how often the cluster polls the set, smoothed, in whole milliseconds,
	// whichever server answers; 0 where that is not known yet.
	Every time.Duration `json:"every,omitempty"`
	// Gap is how long it was after the poll before; 0 where none is known.
	Gap time.Duration `json:"-"`
	// Agent is the User-Agent of who polled.
	Agent string `json:"agent,omitempty"`
}
