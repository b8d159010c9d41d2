package fleet

import (
	"fmt"
	"strconv"
	"strings"
)

// Guard limits what one release, or one write, may remove of what clusters are served. A release
// that exceeds it is held; a write that exceeds it is refused until it is confirmed. It is
// spec.guard of fleet.yaml. The guard in force is that of the live release, so that a revision
// cannot loosen the guard and use that at once.
//
// Package impact compares changes with it.
type Guard struct {
	// RemovedPerCluster limits how many of its inputs a cluster may lose, and RemovedPerFleet
	// how many inputs all clusters together may. An input that moves to another set is lost,
	// because Flux deletes it in the one set before it creates it in the other.
	RemovedPerCluster, RemovedPerFleet Limit
	// FailingClusters limits for how many clusters a release may be invalid.
	FailingClusters Limit
	// AllowEmptySets lets a set of a cluster become empty, AllowVanishedSets lets one vanish,
	// and AllowStaleParts lets parts of deltas stop applying.
	AllowEmptySets, AllowVanishedSets, AllowStaleParts bool
	// AllowReownedNames lets a dns come to find another cluster.
	AllowReownedNames bool
}

// DefaultGuard returns the guard of a fleet.yaml without spec.guard.
func DefaultGuard() Guard {
	return Guard{RemovedPerCluster: Limit{N: 50, Percent: true}, RemovedPerFleet: Limit{N: 20, Percent: true}, FailingClusters: Limit{N: 10, Percent: true}}
}

// Limit is a number or a percentage, like Kubernetes' IntOrString: 3, or 25%.
type Limit struct {
	N       int
	Percent bool
}

// ParseLimit parses "3" or "25%".
func ParseLimit(text string) (Limit, error) {
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || percent && n > 100 {
		return Limit{}, fmt.Errorf("%q must be a number such as 3, or a percentage from 0%% to 100%%", text)
	}
	return Limit{N: n, Percent: percent}, nil
}

// Of returns how many of a total the limit allows. Percentages are rounded up, as Kubernetes
// does with maxUnavailable, so that one of a few may go where a share of many may.
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

// MarshalText writes "25%" or "3".
func (l Limit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (l *Limit) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLimit(string(text))
	return err
}
