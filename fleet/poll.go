package fleet

import "time"

// Poll is the last poll of one input set by one cluster, or the last one by hand. The last poll of a
// list of clusters, as a management cluster makes, is one without a Cluster, and its Set is the selector.
type Poll struct {
	Cluster string `json:"-"`
	Set     string `json:"set"`
	// DNS is the name by which the cluster polled, where that was its dns.
	DNS string `json:"dns,omitempty"`
	// At is when it was, to the microsecond.
	At time.Time `json:"at"`
	// Generation is the generation at which it was answered.
	Generation int64 `json:"generation"`
	// Release is the ID of the release that was served.
	Release string `json:"release,omitempty"`
	// Every is how often the cluster polls the set, smoothed and in whole milliseconds, whichever
	// server answers; 0 where that is not known yet.
	Every time.Duration `json:"every,omitempty"`
	// Gap is the time since the poll before; 0 where none is known.
	Gap time.Duration `json:"-"`
	// Agent is the User-Agent.
	Agent string `json:"agent,omitempty"`
	// By names the credential of a poll that was made by hand. It is empty for a poll of Flux
	// Operator. A poll by hand says nothing about what a cluster has, and has no interval.
	By string `json:"by,omitempty"`
}

// IsByHand reports whether the poll is not one of Flux Operator.
func (p *Poll) IsByHand() bool { return p.By != "" }
