package controller_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// startWithHistory runs acme with some writes. Each tag ends with the generation of its write.
func startWithHistory(t *testing.T, configure ...func(*controller.Config)) *rig {
	t.Helper()
	r := startAcme(t, configure...)
	r.apply(`{name: a, selector: {}, edits: [{kind: App, name: web, patch: {spec: {tag: a2}}}]}`)
	r.patch("ann", "App/db", `{"spec": {"tag": "own3"}}`)
	r.apply(`{name: b, clusters: [bob], edits: [{kind: App, name: db, patch: {spec: {tag: b4}}}]}`)
	r.apply(`{name: a, selector: {}, edits: [{kind: App, name: web, patch: {spec: {tag: a5}}}]}`)
	r.patch("ann", "App/db", `{"spec": {"tag": "own6"}}`)
	if _, err := r.DeleteDelta(t.Context(), ada, "delta/b"); err != nil {
		t.Fatal(err)
	}
	return r
}

// tags returns the tags of web and db on ann, and of db on bob.
func (r *rig) tags() string {
	r.t.Helper()
	var all []string
	for _, of := range [][2]string{{"ann", "web"}, {"ann", "db"}, {"bob", "db"}} {
		_, tag, _ := strings.Cut(r.input(of[0], of[1]), `"tag":"`)
		tag, _, _ = strings.Cut(tag, `"`)
		all = append(all, tag)
	}
	return strings.Join(all, " ")
}

func TestRollbackRestoresOneDeltaOrAll(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		to   controller.Rollback
		want string
	}{
		{controller.Rollback{Generation: 4}, "a2 own3 b4"},
		{controller.Rollback{Generation: 6}, "a5 own6 b4"},
		{controller.Rollback{Generation: 1}, "v1 v1 v1"},
		{controller.Rollback{Generation: 0}, "v1 v1 v1"},
		{controller.Rollback{Generation: 4, Delta: "delta/a"}, "a2 own6 v1"},
		{controller.Rollback{Generation: 4, Delta: "delta/b"}, "a5 own6 b4"},
		{controller.Rollback{Generation: 4, Delta: fleet.OwnID("ann")}, "a5 own3 v1"},
		{controller.Rollback{Generation: 2, Delta: fleet.OwnID("ann")}, "a5 v1 v1"},
	} {
		r := startWithHistory(t)
		result, err := r.Rollback(t.Context(), ada, c.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.tags(); got != c.want {
			t.Errorf("tags after %+v = %s, want %s", c.to, got, c.want)
		}
		history := r.history()
		last := history[len(history)-1]
		if last.Kind != fleet.RolledBack || last.Generation != 8 || result.Generation != 8 {
			t.Errorf("change of %+v = %+v", c.to, last)
		}
		if got, want := deltasOf(t, r.view().Deltas()), deltasOf(t, folded(t, history)); got != want {
			t.Errorf("deltas =\n%s\nwant the fold of the history:\n%s", got, want)
		}
	}
}

func TestRollbackOfAnExpiredDeltaDropsIt(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startWithHistory(t, withClock(c))
	r.apply(fmt.Sprintf(`{name: b, clusters: [bob], edits: [{kind: App, name: db, patch: {spec: {tag: b8}}}], expiresAt: %s}`, c.Now().Add(time.Hour).Format(time.RFC3339)))
	r.apply(`{name: b, clusters: [bob], edits: [{kind: App, name: db, patch: {spec: {tag: b9}}}]}`)
	c.forward(time.Hour)
	if _, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: 8}); err != nil {
		t.Fatal(err)
	}
	if got, want := r.tags(), "a5 own6 v1"; got != want {
		t.Errorf("tags = %s, want %s", got, want)
	}
}

func TestRollbackThatIsInvalidOnTheCurrentBaseIsRefused(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.apply(`{name: big, selector: {matchLabels: {environment: dev}}, edits: [{kind: App, name: web, patch: {spec: {replicas: 8}}}]}`)
	r.apply(`{name: big, selector: {matchLabels: {environment: dev}}, edits: [{kind: App, name: web, patch: {spec: {replicas: 3}}}]}`)
	r.release("main@2", acme("schemas/app.json", `{"properties": {"replicas": {"maximum": 5}}}`))
	for _, rollback := range []controller.Rollback{{Generation: 2}, {Generation: 2, Delta: "delta/big"}} {
		err := r.wantRefused(fleet.ErrInvalid, func() (*fleet.Result, error) { return r.Rollback(t.Context(), ada, rollback) })
		if !strings.Contains(err.Error(), `clusters "ann", "bob"`) || !strings.Contains(err.Error(), "replicas") {
			t.Errorf("error = %v, want it to name both clusters and the field", err)
		}
	}
}

func TestRollbackToAnUnknownGenerationIsNotFound(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startWithHistory(t, withClock(c))
	for _, rollback := range []controller.Rollback{{Generation: 8}, {Generation: -1}, {Generation: 2, Delta: "delta/nowhere"}, {Generation: 1 << 60}} {
		r.wantRefused(fleet.ErrNotFound, func() (*fleet.Result, error) { return r.Rollback(t.Context(), ada, rollback) })
	}
	if _, err := r.store.Prune(t.Context(), c.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	r.wantRefused(fleet.ErrNotFound, func() (*fleet.Result, error) {
		return r.Rollback(t.Context(), ada, controller.Rollback{Generation: 2})
	})
}

func TestRollbackSaysWhatItDoesNotRestore(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot}`)
	r.decommission("dot")
	r.apply(`{name: a, selector: {}, edits: [{kind: App, name: web, patch: {spec: {tag: a2}}}]}`)
	start := r.view().Generation()
	r.apply(`{name: a, selector: {}, edits: [{kind: App, name: web, patch: {spec: {tag: a3}}}]}`)
	r.declare(`{name: eve}`)
	r.decommission("bob")
	r.decommission("cid")
	if _, err := r.Purge(t.Context(), ada, "dot"); err != nil {
		t.Fatal(err)
	}
	r.recommission("cid")
	r.release("main@2", acme("base/db.yaml", app("db", "{tag: v2}")))
	r.pin(fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"ann"}}, Release: "main@1"})
	result, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: start})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(result.Warnings, "\n")
	for _, want := range []string{
		"cluster bob was decommissioned since, which is not undone: recommission it", "cluster cid was recommissioned since",
		"cluster dot was purged since", "cluster eve was declared since", "release main@2 went live since, which is not undone: to go back to an earlier release, pin it",
		"pin old was set or removed since",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings are\n%s\nwant %q", all, want)
		}
	}
	if got := r.input("ann", "web"); !strings.Contains(got, "a2") {
		t.Errorf("web of ann = %s, want a2 restored", got)
	}
}

func TestRollbackThatWouldRestoreNothingIsRefused(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	start := r.view().Generation()
	r.decommission("bob")
	err := r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) {
		return r.Rollback(t.Context(), ada, controller.Rollback{Generation: start})
	})
	if err == nil || !strings.Contains(err.Error(), "nothing can be restored: cluster bob was decommissioned since") {
		t.Errorf("rollback across a decommission: %v", err)
	}
	if result, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: start + 1}); err != nil || len(result.Warnings) > 0 {
		t.Errorf("rollback to where the fleet is = %+v, %v, want that nothing changes", result, err)
	}
}
