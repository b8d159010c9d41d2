package fleet

import (
	"time"
)

// Lineup is where the fleet is going: what of releases the log says beside the one
// that is live, the pins and the clusters that stay behind. It is immutable.
type Lineup struct {
	// Rollout is of the release that goes live wave by wave; nil where none does.
	Rollout *Rollout `json:"rollout,omitempty"`
	// Candidate is the ID of the newest release that the fleet does not go to,
	// because it is held, failed or rejected; empty where it goes to the newest.
	Candidate string `json:"candidate,omitempty"`
	// Snapshot is the digest of the candidate's tree, where there is one.
	Snapshot string `json:"snapshot,omitempty"`
}

// Rollout is a release that goes live wave by wave. Until all have it the release
// before is the live one.
type Rollout struct {
	Release LiveRelease `json:"release"`
	// Waves are all, and Reached is how many of them have the release.
	Waves   []Wave `json:"waves"`
	Reached int    `json:"reached"`
	// Since is when the last of them got it, with the change Generation.
	Since      time.Time `json:"since"`
	Generation int64     `json:"generation"`
	// Paused is why it does not go on; empty where it does.
	Paused string `json:"paused,omitempty"`
	// Beyond is the digest of the impact that it is paused for, where the next wave
	// takes away more than the guard allows, and Confirmed the one that it was resumed with.
	Beyond    string `json:"beyond,omitempty"`
	Confirmed string `json:"confirmed,omitempty"`
	// Back tells that the source went back to the live release, by which it did not end:
	// it was paused, or paused for that. That is decided on once.
	Back bool `json:"back,omitempty"`
	// Passed tells that somebody let it pass the present wave, whatever that waits for.
	Passed bool `json:"passed,omitempty"`
	// Approved is the digest of the impact that was approved; empty where the
	// release needed no approval.
	Approved string `json:"approved,omitempty"`
	// Left is what clusters stayed on before the release reached them, where that was
	// not the live one, by name.
	Left map[string]*Stay `json:"left,omitempty"`
}

// Wave is some clusters of a rollout.
type Wave struct {
	Name string `json:"name"`
	// Clusters are those of the wave, sorted; nil in the last one, for all the rest.
	Clusters []string      `json:"clusters,omitempty"`
	Soak     time.Duration `json:"soak,omitempty"`
	Manual   bool          `json:"manual,omitempty"`
	Polled   int           `json:"polled,omitempty"`
}

// Stay says that a cluster stays on a release while the fleet goes on.
type Stay struct {
	// Since is the generation since when.
	Since   int64       `json:"since"`
	Release LiveRelease `json:"release"`
	// File is what its file said, where the release does not have that.
	File *ClusterFile `json:"file,omitempty"`
	// Wave tells that a newer release took over before the one that is live now had
	// reached it; else what the live release has is not good for it.
	Wave bool `json:"wave,omitempty"`
	// Not is the release of a pin that came to be for the cluster and is not good for it,
	// in spite of which it stays; nil where it is what the fleet goes to that is not.
	Not *LiveRelease `json:"not,omitempty"`
	// Why says why, to people.
	Why string `json:"why,omitempty"`
}

// inSpiteOf tells whether it stays in spite of a pin, which may be nil, as s may.
func (s *Stay) inSpiteOf(p *Pin) bool {
	return s != nil && s.Not != nil && p != nil && s.Not.key() == p.key()
}

// PinChange is what became of one pin; nil stands for none.
type PinChange struct {
	Pin    string `json:"pin"`
	Before *Pin   `json:"before,omitempty"`
	After  *Pin   `json:"after,omitempty"`
}

// reached are the clusters of the waves of a rollout that have its release.
type reached map[string]bool

func (l *Lineup) reached() reached {
	if l == nil || l.Rollout == nil {
		return nil
	}
	all := reached{}
	for _, w := range l.Rollout.Waves[:l.Rollout.Reached] {
		for _, name := range w.Clusters {
			all[name] = true
		}
	}
	return all
}

// wave is the last one that has the release.
func (r *Rollout) wave() Wave { return r.Waves[r.Reached-1] }

// key tells which base a release stands for.
func (l LiveRelease) key() releaseKey { return releaseKey{l.Revision, l.Snapshot} }
