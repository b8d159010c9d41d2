package impact_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/impact"
)

// members is a fleet, by name, before or after a change.
type members map[string]*fleet.Rendered

// fleetOf returns a fleet of clusters. What the names of orphaned and decommissioned ones begin with
// says so.
func fleetOf(clusters ...*fleet.Cluster) members {
	all := members{}
	for _, c := range clusters {
		all[c.Name] = served(c, "apps: web=1")
	}
	return all
}

func (m members) owner(dns string) *fleet.Rendered {
	for _, r := range m {
		if r.Cluster.DNS == dns && !r.Orphaned {
			return r
		}
	}
	return nil
}

// addClusters returns the impact of going from one fleet to another, while lists of clusters are polled.
func addClusters(t *testing.T, before, after members, selectors ...string) *fleet.Impact {
	t.Helper()
	var names []string
	for _, m := range []members{before, after} {
		for name := range m {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var pairs []impact.Pair
	for _, name := range slices.Compact(names) {
		if before[name] != after[name] {
			pairs = append(pairs, impact.Pair{Cluster: name, Before: before[name], After: after[name]})
		}
	}
	sum := &fleet.Impact{}
	err := impact.AddClusters(sum, pairs, impact.Fleet{
		OwnerBefore: before.owner, OwnerAfter: after.owner,
		Lists: func() (all []labels.Selector, err error) {
			for _, text := range selectors {
				selector, err := labels.Parse(text)
				if err != nil {
					return nil, err
				}
				all = append(all, selector)
			}
			return all, nil
		},
		Listed: func(selector labels.Selector) (n int) {
			for _, r := range before {
				if selector.Matches(labels.Set(r.Cluster.Labels)) {
					n++
				}
			}
			return n
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func cluster(name, dns, environment string) *fleet.Cluster {
	return &fleet.Cluster{Name: name, DNS: dns, Labels: map[string]string{"environment": environment}, File: "clusters/" + name + ".yaml"}
}

// orphan returns a fleet in which clusters have lost their file.
func orphan(m members, names ...string) members {
	for _, name := range names {
		r := *m[name]
		r.Orphaned = true
		m[name] = &r
	}
	return m
}

func TestAddClustersNamesWhatBecomesOfClusters(t *testing.T) {
	t.Parallel()
	ann, bob := cluster("ann", "ann.x", "dev"), cluster("bob", "bob.x", "prod")
	both := fleetOf(ann, bob)
	for name, c := range map[string]struct {
		before, after members
		want          fleet.Impact
	}{
		"nothing":         {both, both, fleet.Impact{}},
		"new":             {fleetOf(ann), fleetOf(ann, bob), fleet.Impact{New: []string{"bob"}}},
		"orphaned":        {both, orphan(fleetOf(ann, bob), "bob"), fleet.Impact{Orphaned: []string{"bob"}}},
		"orphaned before": {orphan(fleetOf(bob), "bob"), orphan(fleetOf(bob), "bob"), fleet.Impact{}},
		"renamed with the same dns": {
			both, orphan(fleetOf(ann, bob, cluster("rob", "bob.x", "dev")), "bob"),
			fleet.Impact{New: []string{"rob"}, Orphaned: []string{"bob"}, Renamed: []fleet.RenamedCluster{{From: "bob", To: "rob", By: "dns"}}, Reowned: []fleet.ReownedName{{DNS: "bob.x", From: "bob", To: "rob"}}},
		},
		"renamed with the same content": {
			both, orphan(fleetOf(ann, bob, cluster("rob", "rob.x", "prod"), cluster("dan", "dan.x", "dev")), "bob"),
			fleet.Impact{New: []string{"dan", "rob"}, Orphaned: []string{"bob"}, Renamed: []fleet.RenamedCluster{{From: "bob", To: "rob", By: "content"}}},
		},
		"perhaps renamed, but to which": {
			both, orphan(fleetOf(ann, bob, cluster("rob", "rob.x", "prod"), cluster("tom", "tom.x", "prod")), "bob"),
			fleet.Impact{New: []string{"rob", "tom"}, Orphaned: []string{"bob"}},
		},
		"swapped": {
			both, fleetOf(cluster("ann", "bob.x", "dev"), cluster("bob", "ann.x", "prod")),
			fleet.Impact{Reowned: []fleet.ReownedName{{DNS: "ann.x", From: "ann", To: "bob"}, {DNS: "bob.x", From: "bob", To: "ann"}}},
		},
		"name that nobody has any more": {both, fleetOf(ann, cluster("bob", "", "prod")), fleet.Impact{}},
	} {
		if got := addClusters(t, c.before, c.after); !reflect.DeepEqual(got, &c.want) {
			t.Errorf("%s: impact = %s, want %s", name, fleet.EncodeJSON(got), fleet.EncodeJSON(c.want))
		}
	}
}

func TestNameOfADecommissionedClusterMayBeTaken(t *testing.T) {
	t.Parallel()
	before := fleetOf(cluster("ann", "ann.x", "dev"))
	before["ann"].Decommissioned = true
	after := fleetOf(cluster("bob", "ann.x", "dev"))
	if got := addClusters(t, before, after).Reowned; got != nil {
		t.Errorf("names with another owner = %v, want none: the first one had nothing", got)
	}
	if got := addClusters(t, after, before).Reowned; len(got) != 1 {
		t.Errorf("names with another owner = %v, want one: its polls get nothing any more", got)
	}
}

func TestListsAreComparedWhereClustersComeGoOrAreRelabelled(t *testing.T) {
	t.Parallel()
	before := fleetOf(cluster("ann", "", "prod"), cluster("bob", "", "prod"), cluster("cid", "", "dev"), cluster("dan", "", "prod"))
	after := fleetOf(cluster("ann", "", "prod"), cluster("bob", "", "dev"), cluster("cid", "", "prod"), cluster("dan", "", "prod"), cluster("eve", "", "prod"))
	after["dan"].Decommissioned = true
	got := addClusters(t, before, after, "environment=prod", "environment=test", "environment in (dev,prod)")
	want := []fleet.ListEffect{
		{Selector: "environment in (dev,prod)", Before: 4, Removed: []string{"dan"}, Added: []string{"eve"}},
		{Selector: "environment=prod", Before: 3, Removed: []string{"bob", "dan"}, Added: []string{"cid", "eve"}},
	}
	if !reflect.DeepEqual(got.Lists, want) {
		t.Errorf("lists = %+v, want %+v", got.Lists, want)
	}
}

func TestListsAreNotAskedForWhereNoneCanChange(t *testing.T) {
	t.Parallel()
	asked := errors.New("asked")
	f := impact.Fleet{
		OwnerBefore: func(string) *fleet.Rendered { return nil }, OwnerAfter: func(string) *fleet.Rendered { return nil },
		Lists: func() ([]labels.Selector, error) { return nil, asked },
	}
	same := impact.Pair{Cluster: "ann", Before: served(cluster("ann", "", "dev"), "apps: a=1"), After: served(cluster("ann", "ann.x", "dev"), "apps: a=2")}
	if err := impact.AddClusters(&fleet.Impact{}, []impact.Pair{same}, f); err != nil {
		t.Errorf("AddClusters of a cluster that keeps its labels: %v", err)
	}
	moved := impact.Pair{Cluster: "bob", After: served(cluster("bob", "", "dev"), "apps: a=1")}
	if err := impact.AddClusters(&fleet.Impact{}, []impact.Pair{moved}, f); !errors.Is(err, asked) {
		t.Errorf("AddClusters of a new cluster: %v, want the error of Lists", err)
	}
}

func TestCheckWeighsListsAsSets(t *testing.T) {
	t.Parallel()
	half := fleet.Guard{RemovedPerCluster: fleet.Limit{N: 50, Percent: true}}
	for name, c := range map[string]struct {
		list fleet.ListEffect
		want []string
	}{
		"within the share": {fleet.ListEffect{Before: 4, Removed: []string{"a", "b"}}, nil},
		"only more":        {fleet.ListEffect{Before: 4, Added: []string{"x"}}, nil},
		"beyond it":        {fleet.ListEffect{Selector: "a=b", Before: 4, Removed: []string{"a", "b", "c"}}, []string{`removedPerCluster: the list of clusters matching "a=b" would lose 3 of 4 (50% allowed): a, b, c`}},
		"all":              {fleet.ListEffect{Before: 1, Removed: []string{"a"}}, []string{"allowEmptySets: the list of all clusters would become empty"}},
		"all are others":   {fleet.ListEffect{Before: 1, Removed: []string{"a"}, Added: []string{"b"}}, nil},
	} {
		var got []string
		for _, v := range impact.Check(half, nil, &fleet.Impact{Lists: []fleet.ListEffect{c.list}}, impact.Before{}) {
			got = append(got, v.Rule+": "+v.Message)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: violations = %q, want %q", name, got, c.want)
		}
	}
}

func TestCoversKnowsOrphansNamesAndLists(t *testing.T) {
	t.Parallel()
	approved := &fleet.Impact{
		Orphaned: []string{"ann", "bob"}, Reowned: []fleet.ReownedName{{DNS: "a.x", From: "ann", To: "cid"}},
		Lists: []fleet.ListEffect{{Selector: "a=b", Before: 4, Removed: []string{"ann", "bob"}}},
	}
	for name, c := range map[string]struct {
		now  fleet.Impact
		want bool
	}{
		"same":              {*approved, true},
		"less":              {fleet.Impact{Orphaned: []string{"bob"}, Lists: []fleet.ListEffect{{Selector: "a=b", Removed: []string{"bob"}}}}, true},
		"another orphan":    {fleet.Impact{Orphaned: []string{"cid"}}, false},
		"another owner":     {fleet.Impact{Reowned: []fleet.ReownedName{{DNS: "a.x", From: "ann", To: "bob"}}}, false},
		"another list":      {fleet.Impact{Lists: []fleet.ListEffect{{Selector: "", Removed: []string{"bob"}}}}, false},
		"another of a list": {fleet.Impact{Lists: []fleet.ListEffect{{Selector: "a=b", Removed: []string{"cid"}}}}, false},
	} {
		if got := impact.Covers(approved, &c.now); got != c.want {
			t.Errorf("%s: Covers() = %v, want %v", name, got, c.want)
		}
	}
}
