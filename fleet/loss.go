package fleet

import (
	"slices"
	"time"
)

// Losses are what clusters lost by one change that nobody approved or confirmed. The guard adds
// them to what later changes remove.
type Losses struct {
	// Until is when they end: the time of the change and the window of the guard in force.
	Until  time.Time   `json:"until"`
	Groups []LossGroup `json:"groups"`
}

// LossGroup is what some clusters lost alike.
type LossGroup struct {
	// Clusters are sorted.
	Clusters []string `json:"clusters"`
	// Inputs are sorted by set and ID.
	Inputs []InputRef `json:"inputs,omitempty"`
	// Orphaned reports that the files of the clusters have vanished.
	Orphaned bool `json:"orphaned,omitempty"`
	// Lists are the selectors of the lists of clusters that the clusters have left.
	Lists []string `json:"lists,omitempty"`
}

// InputRef names an input of a cluster.
type InputRef struct {
	Set string `json:"set"`
	ID  string `json:"id"`
}

func (r InputRef) String() string { return r.Set + "/" + r.ID }

// withLosses returns losses after a change: those that have ended by its time are dropped, and its
// own come last.
func withLosses(all []*Losses, c *Change) []*Losses {
	ended := func(l *Losses) bool { return !l.Until.After(c.At) }
	if c.Losses == nil && !slices.ContainsFunc(all, ended) {
		return all
	}
	next := slices.DeleteFunc(slices.Clone(all), ended)
	if c.Losses != nil {
		next = append(next, c.Losses)
	}
	return next
}
