package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// State is what became of a release.
type State string

const (
	// Live is the release that is served.
	Live State = "live"
	// Failed is a revision that has a fault; it was never served.
	Failed State = "failed"
)

// Release is a snapshot that has been rendered and checked for every cluster.
type Release struct {
	// ID names the release in URLs; one revision always has the same.
	ID       string    `json:"id"`
	Revision string    `json:"revision"`
	State    State     `json:"state"`
	At       time.Time `json:"at"`
	Clusters int       `json:"clusters"`
	// Problems are the faults of a failed release and the warnings of a live one.
	Problems Problems `json:"problems,omitempty"`
}

// releaseID is short and safe in a path, which a revision with its slashes is not.
func releaseID(revision string) string {
	sum := sha256.Sum256([]byte(revision))
	return hex.EncodeToString(sum[:6])
}
