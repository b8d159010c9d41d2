package fleet

import (
	"fmt"
	"strconv"
	"strings"
)

// Guard bounds what one release, or one write, may take away from what clusters are
// served. Beyond it a release is held, and a write refused until it is confirmed. It
// is spec.guard of fleet.yaml; the one in force is that of the live release, so that
// a revision cannot loosen the guard and need that at once.
type Guard struct {
	// RemovedPerCluster bounds how many of its inputs a cluster may lose, and
	// RemovedPerFleet how many all of them. One that moves from one set to another is
	// lost, because Flux deletes it there before it makes it here.
	RemovedPerCluster, RemovedPerFleet Limit
	// FailingClusters bounds how many clusters a release may not be good for.
	FailingClusters Limit
	// AllowEmptySets, AllowVanishedSets and AllowOrphanedParts let a set of a cluster
	// become empty, a set of a cluster vanish, and parts of deltas stop to apply.
	AllowEmptySets, AllowVanishedSets, AllowOrphanedParts bool
}

// DefaultGuard is that of a fleet.yaml without spec.guard.
func DefaultGuard() Guard {
	return Guard{RemovedPerCluster: Limit{N: 50, Percent: true}, RemovedPerFleet: Limit{N: 20, Percent: true}, FailingClusters: Limit{N: 10, Percent: true}}
}

// Limit is a number, or a share in per cent, as Kubernetes' IntOrString is one: 3, or 25%.
type Limit struct {
	N       int
	Percent bool
}

// ParseLimit reads "3" or "25%".
func ParseLimit(text string) (Limit, error) {
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || percent && n > 100 {
		return Limit{}, fmt.Errorf("%q must be a number such as 3, or a share from 0%% to 100%%", text)
	}
	return Limit{N: n, Percent: percent}, nil
}

// Of is how many of a total the limit stands for. Of a share, what is left over counts
// as one, so that one of a few may go where a share of many may.
func (l Limit) Of(total int) int {
	if !l.Percent {
		return l.N
	}
	return (l.N*total + 99) / 100
}

func (l Limit) String() string {
	if l.Percent {
		return fmt.Sprintf("%d%%", l.N)
	}
	return strconv.Itoa(l.N)
}

// MarshalText and UnmarshalText make it read "25%" in JSON.
func (l Limit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (l *Limit) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLimit(string(text))
	return err
}
