package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// expiring returns a document of a delta that expires after d.
func expiring(now time.Time, d time.Duration, rest string) string {
	return fmt.Sprintf(`{%s, expiresAt: %q}`, rest, now.Add(d).Format(time.RFC3339))
}

const tagged = `name: tagged, selector: {}, edits: [{kind: App, name: web, patch: {spec: {tag: v2}}}]`

func TestDeltaIsWithdrawnWhenItExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.put("main@1", acme())
		r := start(t, s, nil)
		synctest.Wait()
		r.apply(expiring(time.Now(), 90*time.Minute, tagged))
		r.apply(expiring(time.Now(), 2*time.Hour, `cluster: ann, edits: [{kind: App, name: db, patch: {spec: {tag: v3}}}]`))
		for _, c := range []struct {
			after time.Duration
			want  string
		}{{90*time.Minute - time.Second, "v2 v3"}, {time.Second, "v1 v3"}, {30*time.Minute - time.Second, "v1 v3"}, {time.Second, "v1 v1"}} {
			time.Sleep(c.after)
			synctest.Wait()
			if got := r.tags(); !strings.HasPrefix(got, c.want) {
				t.Errorf("tags = %s, want %s", got, c.want)
			}
		}
		r.stop()
	})
}

func TestEachWithdrawalIsItsOwnChange(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startAcme(t, withClock(c))
	r.apply(expiring(c.Now(), time.Hour, tagged))
	r.apply(expiring(c.Now(), time.Hour, `name: more, clusters: [bob], edits: [{kind: App, name: db, patch: {spec: {tag: v3}}}]`))
	c.forward(time.Hour)
	r.patch("cid", "App/db", `{"spec": {"tag": "v4"}}`) // makes the controller look at the clock
	r.await("the withdrawal", func() bool { return r.view().Generation() == 6 })
	r.wantInput("ann", "web", `{`+webFields+`,"tag":"v1"}`)
	var withdrawn []string // in any order, because the clock may be read between two writes
	for _, h := range r.history() {
		if h.Kind != fleet.Withdrawn {
			continue
		}
		if h.Actor != fleet.OwnActor || h.Reason != "expired at 2026-03-29T13:00:00Z" || len(h.Deltas) != 1 || h.Deltas[0].After != nil {
			t.Errorf("change = %+v, want the withdrawal of one delta", h)
			continue
		}
		withdrawn = append(withdrawn, h.Deltas[0].Delta)
	}
	slices.Sort(withdrawn)
	if want := []string{"delta/more", "delta/tagged"}; !slices.Equal(withdrawn, want) {
		t.Errorf("withdrawals of %s, want %s", withdrawn, want)
	}
	if _, err := r.PutDelta(t.Context(), ada, r.document(expiring(c.Now(), 0, tagged))); !errors.Is(err, fleet.ErrInvalid) {
		t.Errorf("PutDelta of an expired delta = %v, want %v", err, fleet.ErrInvalid)
	}
}

func TestDeltaThatExpiredWhileNoServerRanIsWithdrawn(t *testing.T) {
	t.Parallel()
	c := newClock()
	url := sqliteFile(t)
	s := newSource()
	s.put("main@1", acme())
	r := start(t, s, openStore(t, url), withClock(c))
	r.awaitRevision("main@1")
	r.apply(expiring(c.Now(), time.Hour, tagged))
	r.stop()
	c.forward(24 * time.Hour)
	s.fail(errors.New("no route to host"))
	r = start(t, s, openStore(t, url), withClock(c))
	r.await("the withdrawal", func() bool {
		v, err := r.View()
		return err == nil && v.Generation() == 3
	})
	r.wantInput("ann", "web", `{`+webFields+`,"tag":"v1"}`)
	if history := r.history(); len(history) != 3 || history[2].Kind != fleet.Withdrawn {
		t.Errorf("history = %+v, want a withdrawal last", history)
	}
}

func TestExpiredDeltaStaysWhileClustersNeedIt(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startAcme(t, withClock(c))
	r.apply(expiring(c.Now(), time.Hour, `name: zone, selector: {matchLabels: {environment: dev}}, edits: [{kind: App, name: web, patch: {spec: {zone: eu}}}]`))
	r.apply(`{name: cid, clusters: [cid], edits: [{kind: App, name: web, patch: {spec: {zone: eu}}}]}`)
	needed := acme("schemas/app.json", `{"if": {"required": ["env"]}, "then": {"required": ["zone"]}}`)
	r.release("main@2", needed)
	c.forward(time.Hour)
	r.patch("cid", "App/db", `{"spec": {"tag": "v2"}}`) // makes the controller look at the clock
	r.await("the notice", func() bool { return len(r.Status().Overdue) == 1 })
	if why := r.Status().Overdue["delta/zone"]; !strings.Contains(why, "zone") || !strings.Contains(why, `clusters "ann", "bob"`) {
		t.Errorf("Overdue = %v, want the reason and both clusters", r.Status().Overdue)
	}
	r.wantInput("ann", "web", `{`+webFields+`,"tag":"v1","zone":"eu"}`)
	r.await("the metric", func() bool { return r.metric("tributary_overdue_deltas") == 1 })
	if got := r.view().Generation(); got != 5 {
		t.Errorf("generation = %d, want 5", got)
	}

	r.release("main@3", acme())
	r.await("the withdrawal", func() bool { return len(r.Status().Overdue) == 0 })
	r.wantInput("ann", "web", `{`+webFields+`,"tag":"v1"}`)
	r.await("the metric", func() bool { return r.metric("tributary_overdue_deltas") == 0 })
	if _, err := r.view().Delta("delta/zone"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Delta = %v, want %v", err, fleet.ErrNotFound)
	}
}
