package impact_test

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/impact"
)

func TestClustersWithTheSameChangesAreOneGroup(t *testing.T) {
	t.Parallel()
	pairs := []impact.Pair{
		pair("a", []string{"apps: x=1"}, []string{"apps: x=2"}),
		pair("b", []string{"apps: x=1"}, []string{"apps: x=3"}),
		pair("c", []string{"apps: x=1"}, []string{"apps: x=2"}),
		pair("d", []string{"apps: x=1 y=1"}, []string{"apps: x=1"}),
		pair("0", []string{"jobs: x=1"}, []string{"jobs: x=2"}),
		pair("f", []string{"apps: x=1 y=1"}, []string{"apps: x=1"}),
		pair("g", []string{"apps: x=1", "jobs: y=1 z=1"}, []string{"apps: x=1 y=1", "jobs: z=1"}),
		pair("h", []string{"apps: x=1 y=1 z=1"}, []string{"apps: x=1"}),
	}
	for want, o := range map[string]impact.Options{
		"[[h] [d f] [g] [a b c] [0]]":   {Fields: true},
		"[[h] [d f] [g] [a c] [0] [b]]": {Fields: true, Values: true},
	} {
		var groups [][]string
		for _, g := range impact.Sum(compare(t, o, pairs...)).Groups {
			groups = append(groups, g.Clusters)
		}
		if got := fmt.Sprint(groups); got != want {
			t.Errorf("groups = %s, want %s: most removed first, then most clusters, then by name", got, want)
		}
	}
}

func TestGroupsDifferInWhatHappensToASet(t *testing.T) {
	t.Parallel()
	with := func(p impact.Pair, field string) impact.Pair {
		p.After.Stale = []fleet.StalePart{{Part: fleet.Part{Delta: "delta/x", Field: field}}}
		return p
	}
	pairs := []impact.Pair{
		pair("a", []string{"apps: x=1"}, []string{"apps:"}),
		pair("b", []string{"apps: x=1"}, nil),
		with(pair("c", []string{"apps: x=1"}, nil), "edits[0]"),
		with(pair("d", []string{"apps: x=1"}, nil), "edits[1]"),
	}
	if groups := impact.Sum(compare(t, impact.Options{}, pairs...)).Groups; len(groups) != len(pairs) {
		t.Errorf("%d groups, want %d: %s", len(groups), len(pairs), fleet.EncodeJSON(groups))
	}
}

func TestDigestIsOfTheImpactAndTheFailingClusters(t *testing.T) {
	t.Parallel()
	of := func(failing []fleet.FailingCluster, pairs ...impact.Pair) string {
		i := impact.Sum(compare(t, impact.Options{}, pairs...))
		impact.SetDigest(i, failing)
		first := i.Digest
		if impact.SetDigest(i, failing); i.Digest != first {
			t.Errorf("the digest is %s first and then %s", first, i.Digest)
		}
		return i.Digest
	}
	p := pair("ann", []string{"apps: a=1 b=1"}, []string{"apps: a=1"})
	failing := []fleet.FailingCluster{{Cluster: "bob", Reason: "any"}}
	text := `{"digest":"","clusters":1,"added":0,"changed":0,"removed":1,"moved":0,"fields":0,"groups":[{"clusters":["ann"],"changes":[{"set":"apps","id":"b","effect":"removed"}]}]}
bob
`
	got, want := of(failing, p), fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
	if got != want {
		t.Errorf("digest = %s, want %s", got, want)
	}
	for name, other := range map[string]string{
		"other failing clusters":  of(nil, p),
		"another cluster":         of(failing, pair("cid", []string{"apps: a=1 b=1"}, []string{"apps: a=1"})),
		"another input":           of(failing, pair("ann", []string{"apps: a=1 b=1"}, []string{"apps: b=1"})),
		"a set that also becomes": of(failing, pair("ann", []string{"apps: b=1"}, []string{"apps:"})),
	} {
		if other == got {
			t.Errorf("the digest with %s is the same", name)
		}
	}
}

func TestLossesAreGroupedByWhatIsLost(t *testing.T) {
	t.Parallel()
	i := impact.Sum(compare(t, impact.Options{},
		pair("cid", []string{"apps: x=1 y=1"}, []string{"apps: x=1"}),
		pair("ann", []string{"apps: x=1 y=1"}, []string{"apps: x=2"}),
		pair("bob", []string{"apps: x=1 y=1", "jobs:"}, []string{"apps:", "jobs: x=1"}),
		pair("dan", []string{"apps: x=1"}, []string{"apps: x=2 y=1"}),
	))
	x, y := fleet.InputRef{Set: "apps", ID: "x"}, fleet.InputRef{Set: "apps", ID: "y"}
	want := []fleet.LossGroup{{Clusters: []string{"bob"}, Inputs: []fleet.InputRef{x, y}}, {Clusters: []string{"ann", "cid"}, Inputs: []fleet.InputRef{y}}}
	if got := impact.LossesOf(i); !reflect.DeepEqual(got, want) {
		t.Errorf("LossesOf = %v, want %v", got, want)
	}
}

func TestApprovedImpactCoversWhatItRemoves(t *testing.T) {
	t.Parallel()
	of := func(pairs ...impact.Pair) *fleet.Impact { return impact.Sum(compare(t, impact.Options{}, pairs...)) }
	approved := of(
		pair("ann", []string{"apps: a=1 b=1", "jobs: x=1", "old:"}, []string{"apps: a=1", "jobs:"}),
		pair("bob", []string{"apps: a=1 b=1", "jobs:"}, []string{"apps: a=1", "jobs: b=1"}),
	)
	for name, c := range map[string]struct {
		pair impact.Pair
		want bool
	}{
		"nothing":                          {pair("ann", nil, nil), true},
		"a part of it":                     {pair("ann", []string{"apps: a=1 b=1"}, []string{"apps: a=1"}), true},
		"what moves":                       {pair("bob", []string{"apps: a=1 b=1"}, []string{"apps: a=1"}), true},
		"other changes and additions":      {pair("cid", []string{"apps: a=1"}, []string{"apps: a=2 b=1"}), true},
		"another cluster":                  {pair("cid", []string{"apps: a=1 b=1"}, []string{"apps: a=1"}), false},
		"another input":                    {pair("ann", []string{"apps: a=1 b=1"}, []string{"apps: b=1"}), false},
		"another set":                      {pair("ann", []string{"more: a=1 b=1"}, []string{"more: a=1"}), false},
		"a set that vanishes":              {pair("ann", []string{"old:", "apps: a=1"}, []string{"apps: a=1"}), true},
		"a set that becomes empty as well": {pair("bob", []string{"apps: b=1"}, []string{"apps:"}), false},
	} {
		if got := impact.Covers(approved, of(c.pair)); got != c.want {
			t.Errorf("%s: Covers = %v, want %v", name, got, c.want)
		}
	}
	if impact.Covers(nil, of()) {
		t.Error("no impact covers an impact")
	}
	p := pair("ann", []string{"apps: a=1"}, []string{"apps: a=1"})
	p.After.Stale = []fleet.StalePart{{Part: fleet.Part{Delta: "delta/x", Field: "edits[0]"}}}
	if impact.Covers(approved, of(p)) || !impact.Covers(of(p), of(p)) {
		t.Error("Covers does not compare the parts that stop applying")
	}
}

func TestLossesAreDescribedForTheFirstGroups(t *testing.T) {
	t.Parallel()
	var pairs []impact.Pair
	for _, name := range []string{"a", "b", "c", "d"} {
		pairs = append(pairs, pair(name, []string{"apps: x=1 y=1 z=1"}, []string{"apps: x=1"}))
	}
	pairs = append(pairs, pair("e", []string{"apps: x=1 y=1"}, []string{"apps: x=1"}), pair("f", []string{"apps: x=1 z=1"}, []string{"apps: x=1"}), pair("g", []string{"apps: x=1"}, []string{"apps: x=2"}))
	i := impact.Sum(compare(t, impact.Options{}, pairs...))
	const first = "apps/y, apps/z of 4 clusters (a, b, c and 1 more); apps/y of 1 clusters (e)"
	for groups, want := range map[int]string{2: first + "; …", 3: first + "; apps/z of 1 clusters (f)"} {
		if got := impact.Losses(i, groups); got != want {
			t.Errorf("Losses of %d groups = %q, want %q", groups, got, want)
		}
	}
}
