package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/polls"
)

// pollList polls the list of the clusters that match a selector, as a management cluster does, and
// returns their names.
func (r *rig) pollList(text string) string {
	r.t.Helper()
	selector, err := labels.Parse(text)
	if err != nil {
		r.t.Fatal(err)
	}
	v := r.view()
	body, err := v.ClusterInputs(selector)
	if err != nil {
		return err.Error()
	}
	if err := r.RecordListPoll(r.t.Context(), selector, v.Generation(), "flux-operator/v0.58"); err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, m := range v.Members() {
		if strings.Contains(string(body.JSON()), fmt.Sprintf(`"id":%q`, m.Cluster.Name)) {
			names = append(names, m.Cluster.Name)
		}
	}
	return strings.Join(names, " ")
}

// ten returns a guarded fleet of ten clusters more, those with the given numbers in a region.
func ten(spec string, region ...int) fstest.MapFS {
	tree := guarded(spec)
	for n := range 10 {
		labels := "environment: dev"
		if slices.Contains(region, n) {
			labels += ", region: eu"
		}
		tree[fmt.Sprintf("clusters/c%d.yaml", n)] = &fstest.MapFile{Data: fmt.Appendf(nil, "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: c%d, labels: {%s}}\n", n, labels)}
	}
	return tree
}

var allTen = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}

// startTen runs a fleet of which ten clusters are in a region, and polls the list of those.
func startTen(t *testing.T, configure ...func(*controller.Config)) *rig {
	t.Helper()
	s := newSource()
	s.put("main@1", ten("", allTen...))
	r := start(t, s, openStore(t, sqliteFile(t)), configure...)
	r.awaitRevision("main@1")
	if got := r.pollList("region=eu"); got != "c0 c1 c2 c3 c4 c5 c6 c7 c8 c9" {
		t.Fatalf("the list has %s, want all ten", got)
	}
	return r
}

// listLosses returns what an impact takes from lists.
func listLosses(lists []fleet.ListEffect) string {
	var all []string
	for _, l := range lists {
		all = append(all, fmt.Sprintf("%s: %d of %d", l.Selector, len(l.Removed), l.Before))
	}
	return strings.Join(all, ", ")
}

// A list of clusters is an answer to the Flux of a management cluster: it deletes what it made for
// each cluster that leaves the list.
func TestReleaseThatTakesClustersOutOfAPolledListIsHeld(t *testing.T) {
	t.Parallel()
	r := startTen(t)
	held := r.propose("main@2", ten("", 3), fleet.Held)
	if got := listLosses(held.Impact.Lists); got != "region=eu: 9 of 10" || !slices.Equal(rules(held.Violations), []string{"removedPerCluster"}) {
		t.Errorf("lists = %s, violations %v, want 9 of 10 and removedPerCluster", got, held.Violations)
	}
	if got := r.pollList("region=eu"); len(strings.Fields(got)) != 10 {
		t.Errorf("while it is held the list has %s, want all ten", got)
	}
	r.decide(fleet.Approve, "main@2", held.Impact.Digest)
	r.awaitRevision("main@2")
	if got := r.pollList("region=eu"); got != "c3" {
		t.Errorf("after the approval the list has %s, want c3", got)
	}
	held = r.propose("main@3", ten(""), fleet.Held)
	if !slices.Equal(rules(held.Violations), []string{"allowEmptySets"}) {
		t.Errorf("violations of a release that empties the list = %v", held.Violations)
	}
}

func TestReleaseMayChangeListsThatNobodyPolls(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.put("main@1", ten("", allTen...))
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@1")
	r.release("main@2", ten("", 3))
	r.pollList("environment=dev")
	r.release("main@3", ten(""))
}

func TestWriteThatTakesClustersOutOfAPolledListMustBeConfirmed(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.release("main@2", guarded(""))
	r.declare(`{name: one, labels: {region: us}}`)
	r.declare(`{name: two, labels: {region: us}}`)
	r.pollList("region=us")
	relabel := func(name string, o controller.WriteOptions) (*fleet.Result, error) {
		return r.Redeclare(t.Context(), o, name, []byte(`{"labels": {"region": "eu"}}`))
	}
	result, err := relabel("one", ada)
	if err != nil || listLosses(result.Lists) != "region=us: 1 of 2" {
		t.Fatalf("relabelling one of two = %+v, %v, want it to say so", result, err)
	}
	err = r.wantRefused(fleet.ErrGuarded, func() (*fleet.Result, error) { return relabel("two", ada) })
	var guarded *fleet.GuardError
	if !errors.As(err, &guarded) || !slices.Equal(rules(guarded.Violations), []string{"removedPerCluster", "allowEmptySets"}) || listLosses(guarded.Impact.Lists) != "region=us: 1 of 1" {
		t.Fatalf("relabelling the last one: %v", err)
	}
	confirmed := ada
	confirmed.Confirm = guarded.Impact.Digest
	if _, err := relabel("two", confirmed); err != nil {
		t.Errorf("the confirmed write: %v", err)
	}
}

func TestListsAreRememberedByOtherServersAndAfterARestart(t *testing.T) {
	t.Parallel()
	url := sqliteFile(t)
	s := newSource()
	s.put("main@1", ten("", allTen...))
	r := start(t, s, openStore(t, url))
	r.awaitRevision("main@1")
	other := start(t, newSource(), openStore(t, url))
	other.awaitRevision("main@1")
	other.pollList("region=eu")
	other.stop() // which saves what is left
	r.propose("main@2", ten("", 3), fleet.Held)
	r = r.restart()
	r.propose("main@3", ten("", 4), fleet.Held)
}

func TestListsAreForgottenAMonthAfterTheirLastPoll(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startTen(t, withClock(c))
	c.forward(polls.ListMemory - time.Hour)
	r.propose("main@2", ten("", 3), fleet.Held)
	c.forward(time.Hour)
	r.release("main@3", ten("", 3))
}

// Clusters that leave a list one commit after the other add up, as removed inputs do.
func TestClustersThatLeaveAListAddUp(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startTen(t, withClock(c))
	r.release("main@2", ten("", 3, 4, 5, 6, 7, 8, 9))
	r.release("main@3", ten("", 5, 6, 7, 8, 9))
	wantHeld := func(revision string, tree fstest.MapFS, want string) {
		t.Helper()
		held := r.propose(revision, tree, fleet.Held)
		if len(held.Violations) != 1 || held.Violations[0].Message != want {
			t.Errorf("violations of %s = %v, want %q", revision, held.Violations, want)
		}
	}
	const list = `the list of clusters matching "region=eu" would lose `
	wantHeld("main@4", ten("", 6, 7, 8, 9), list+"6 of 10 (50% allowed), with 5 lost earlier, within the last 24h: c5")
	r = r.restart(withClock(c))
	wantHeld("main@5", ten("", 6, 7, 8, 9), list+"6 of 10 (50% allowed), with 5 lost earlier, within the last 24h: c5")
	// What was approved does not count again, and a cluster that is listed again is not lost.
	r.decide(fleet.Approve, "main@5", "")
	r.awaitRevision("main@5")
	wantHeld("main@6", ten("", 7, 8, 9), list+"6 of 9 (50% allowed), with 5 lost earlier, within the last 24h: c6")
	r.release("main@7", ten("", 1, 2, 3, 4, 7, 8, 9))
	wantHeld("main@8", ten("", 7, 8), list+"7 of 9 (50% allowed), with 2 lost earlier, within the last 24h: c1, c2, c3 and 2 more")
	c.forward(24 * time.Hour)
	r.release("main@9", ten("", 1, 2, 3, 4))
}

// So do clusters that are relabelled one by one, at any server.
func TestClustersThatAreRelabelledOutOfAListAddUp(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.put("main@1", guarded(""))
	url := sqliteFile(t)
	r := start(t, s, openStore(t, url))
	r.awaitRevision("main@1")
	for n := range 6 {
		r.declare(fmt.Sprintf(`{name: d%d, labels: {region: us}}`, n))
	}
	r.pollList("region=us")
	other := start(t, newSource(), openStore(t, url), func(cfg *controller.Config) { cfg.Source = nil })
	other.await("the release", func() bool { v, err := other.View(); return err == nil && v.Generation() == r.view().Generation() })
	relabel := func(r *rig, n int) error {
		_, err := r.Redeclare(t.Context(), ada, fmt.Sprint("d", n), []byte(`{"labels": {"region": "eu"}}`))
		return err
	}
	for n, server := range []*rig{r, other, r} {
		if err := relabel(server, n); err != nil {
			t.Fatal(err)
		}
	}
	for _, server := range []*rig{r, other} {
		if err := relabel(server, 3); !errors.Is(err, fleet.ErrGuarded) || !strings.Contains(err.Error(), "would lose 4 of 6 (50% allowed), with 3 lost earlier") {
			t.Errorf("relabelling the fourth of six = %v, want %v", err, fleet.ErrGuarded)
		}
	}
}
