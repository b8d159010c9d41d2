package fleet

import (
	"fmt"
	"strconv"
	"strings"
	"time"
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
	// RemovedEverywhere limits how many of the clusters that have an input, by its set and ID, may
	// lose it. An input that a single cluster loses is within the limit.
	RemovedEverywhere Limit
	// Protected selects inputs of which none may be lost.
	Protected []Protection
	// OrphanedClusters limits how many of the cluster files may vanish.
	OrphanedClusters Limit
	// FailingClusters limits for how many clusters a release may be invalid.
	FailingClusters Limit
	// Window is how long a loss that nobody approved or confirmed counts: it is added to what later
	// changes remove. Zero adds up nothing.
	Window time.Duration
	// ApproveByTrailer lets a commit approve its own impact, by a trailer that names the digest.
	ApproveByTrailer bool
	// AllowEmptySets lets a set of a cluster become empty, AllowVanishedSets lets one vanish,
	// and AllowStaleParts lets parts of deltas stop applying.
	AllowEmptySets, AllowVanishedSets, AllowStaleParts bool
	// AllowReownedNames lets a dns come to find another cluster.
	AllowReownedNames bool
}

// DefaultGuard returns the guard of a fleet.yaml without spec.guard.
func DefaultGuard() Guard {
	share := func(n int) Limit { return Limit{N: n, Percent: true} }
	return Guard{
		RemovedPerCluster: share(50), RemovedPerFleet: share(20), RemovedEverywhere: share(25), OrphanedClusters: share(10), FailingClusters: share(10),
		Protected: []Protection{{Kind: "Namespace"}, {Kind: "CustomResourceDefinition"}}, Window: 24 * time.Hour,
	}
}

// MaxWindow is the longest window of a guard.
const MaxWindow = 30 * 24 * time.Hour

// Protection selects inputs by their set and ID, and by the object that they are made of. An empty
// field matches every input.
type Protection struct {
	Set        string `json:"set"`
	ID         string `json:"id"`
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
}

// Matches reports whether an input is protected, given the object that it is made of.
func (p Protection) Matches(in InputRef, o ObjectRef) bool {
	is := func(want, has string) bool { return want == "" || want == has }
	return is(p.Set, in.Set) && is(p.ID, in.ID) && is(p.APIVersion, o.APIVersion) && is(p.Kind, o.Kind) && is(p.Namespace, o.Namespace) && is(p.Name, o.Name)
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
