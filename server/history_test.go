package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// generations returns the generations of a page of the history.
func (h *harness) generations(query string, headers ...string) (found []int64, next string) {
	h.t.Helper()
	var page api.List[api.Change]
	h.get("/api/v1/history?"+query, headers...).wantOK(h.t, &page)
	for _, c := range page.Items {
		found = append(found, c.Generation)
	}
	return found, page.Next
}

func (h *harness) setTag(cluster, tag string, headers ...string) fleet.Result {
	h.t.Helper()
	return h.change("PATCH", "/api/v1/clusters/"+cluster+"/objects/App/web", mergePatch, `{"spec": {"tag": "`+tag+`"}}`, headers...).wantKept(h.t)
}

func TestHistoryIsFilteredAndPaged(t *testing.T) {
	t.Parallel()
	h := startLive(t, withTokens(t))
	ada, pipeline := bearer(adminToken), bearer(operatorToken)
	h.setTag("one", "a", ada...)      // 2
	h.setTag("two", "b", pipeline...) // 3
	h.change("PUT", pin, yamlDoc, "selector: {matchLabels: {environment: dev}}\nedits: [{kind: App, name: web, patch: {spec: {replicas: 2}}}]\n", pipeline...).wantKept(t)
	h.setTag("one", "c", ada...) // 5
	var third api.Change
	h.get("/api/v1/history/3", ada...).wantOK(t, &third)
	at := func(d time.Duration) string { return url.QueryEscape(third.At.Add(d).Format(time.RFC3339Nano)) }
	for query, want := range map[string][]int64{
		"":                              {5, 4, 3, 2, 1},
		"cluster=one":                   {5, 4, 2, 1},
		"cluster=two":                   {3, 1},
		"actor=ada":                     {5, 2},
		"actor=nobody":                  nil,
		"delta=cluster/one":             {5, 2},
		"delta=delta/pin":               {4},
		"since=" + at(0):                {5, 4, 3},
		"until=" + at(time.Microsecond): {3, 2, 1},
		"cluster=one&actor=pipeline":    {4},
		"since=" + at(time.Hour):        nil,
	} {
		if got, next := h.generations(query, ada...); !reflect.DeepEqual(got, want) || next != "" {
			t.Errorf("history?%s = %v, next %q, want %v", query, got, next, want)
		}
	}
	var paged []int64
	for query := "limit=2"; ; {
		page, next := h.generations(query, ada...)
		if paged = append(paged, page...); next == "" {
			break
		}
		query = "limit=2&cursor=" + next
	}
	if want := []int64{5, 4, 3, 2, 1}; !reflect.DeepEqual(paged, want) {
		t.Errorf("pages have %v, want %v", paged, want)
	}
	for path, status := range map[string]int{
		"?limit=0": 400, "?limit=501": 400, "?limit=x": 400, "?cursor=x": 400, "?cursor=0": 400, "?since=yesterday": 400, "?until=1": 400,
		"?clusters=one": 400, "?actor=a&actor=b": 400, "/0": 400, "/x": 400, "/6": 404, "/99999999999999999999": 400, "/1?x=1": 400,
	} {
		name := map[int]string{400: "bad-request", 404: "not-found"}[status]
		h.get("/api/v1/history"+path, ada...).problem(t, status, name)
	}
}

func TestReadsOfMissingThingsAreProblems(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	for path, status := range map[string]int{
		pin: 404, ownOne: 404, "/api/v1/clusters/none/delta": 404, pin + "?x=1": 400, "/api/v1/deltas?x=1": 400,
		"/api/v1/clusters/one/objects/ConfigMap/twice":                  409,
		"/api/v1/clusters/one/objects/ConfigMap/twice?namespace=c":      404,
		"/api/v1/clusters/one/objects/ConfigMap/twice?namespace=a&x=1":  400,
		"/api/v1/clusters/none/objects/App/web":                         404,
		"/api/v1/clusters/one/objects/App/web?group=apps":               404,
		"/api/v1/flux/clusters/one/none":                                404,
		"/api/v1/clusters/one/objects/ConfigMap/twice?group=&group=app": 400,
	} {
		name := map[int]string{400: "bad-request", 404: "not-found", 409: "conflict"}[status]
		h.get(path).problem(t, status, name)
	}
	for _, narrowed := range []string{"namespace=a", "group=&namespace=b"} {
		if r := h.get("/api/v1/clusters/one/objects/configmap/twice?" + narrowed); r.status != http.StatusOK {
			t.Errorf("?%s = %d %s", narrowed, r.status, r.body)
		}
	}
}

func TestRollbackIsANewChange(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	poll := func(cluster string) string { return string(h.get("/api/v1/flux/clusters/" + cluster + "/apps").body) }
	before := poll("one") + poll("two")
	h.setTag("one", "a")
	h.setTag("two", "b")
	h.change("PUT", pin, yamlDoc, "selector: {}\nedits: [{kind: App, name: web, patch: {spec: {replicas: 2}}}]\n").wantKept(t)
	then := poll("one") + poll("two")
	h.setTag("one", "c")
	back := func(body string) fleet.Result {
		return h.change("POST", "/api/v1/rollback", jsonDoc, body, "Tributary-Reason", "INC-1").wantKept(t)
	}
	if r := back(`{"generation": 4, "cluster": "one"}`); r.Generation != 6 || len(r.Changes) != 1 || poll("one")+poll("two") != then {
		t.Errorf("rollback of a cluster = %+v and serves\n%s%s, want\n%s", r, poll("one"), poll("two"), then)
	}
	if r := back(`{"generation": 3, "delta": "pin"}`); r.Generation != 7 || len(r.Changes) != 2 {
		t.Errorf("rollback of a delta = %+v", r)
	}
	if r := back(`{"generation": 1}`); r.Generation != 8 || poll("one")+poll("two") != before {
		t.Errorf("rollback of all = %+v and serves\n%s%s, want\n%s", r, poll("one"), poll("two"), before)
	}
	if r := back(`{"generation": 1}`); r.Generation != 8 || len(r.Changes) != 0 {
		t.Errorf("rollback to what is = %+v, want no change", r)
	}
	var change api.Change
	h.get("/api/v1/history/8").wantOK(t, &change)
	if change.Kind != fleet.RolledBack || change.Reason != "INC-1" || len(change.Deltas) != 2 {
		t.Errorf("the history has %+v, want a rollback of both clusters' deltas", change)
	}
}

// The next poll has every acknowledged change, whatever other clients write.
func TestWriterReadsWhatItWrote(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	var writing sync.WaitGroup
	for w := range 6 {
		cluster := []string{"one", "two"}[w%2]
		field := fmt.Sprintf("writer%d", w)
		writing.Go(func() {
			for n := range 15 {
				path, body := "/api/v1/clusters/"+cluster+"/objects/App/web", fmt.Sprintf(`{"spec": {%q: %d}}`, field, n)
				method, kind := "PATCH", mergePatch
				if w >= 4 {
					method, path, kind = "PUT", "/api/v1/deltas/"+field, jsonDoc
					body = `{"selector": {}, "edits": [{"kind": "App", "name": "web", "patch": ` + body + `}]}`
				}
				written := h.change(method, path, kind, body)
				var result fleet.Result
				if err := json.Unmarshal(written.body, &result); err != nil || written.status != http.StatusOK {
					t.Errorf("write = %d %s", written.status, written.body)
					return
				}
				if got := written.header.Get("Tributary-Generation"); got != fmt.Sprint(result.Generation) {
					t.Errorf("the header has generation %q, the answer %d", got, result.Generation)
				}
				poll := h.get("/api/v1/flux/clusters/" + cluster + "/apps")
				var generation int64
				if _, err := fmt.Sscan(poll.header.Get("Tributary-Generation"), &generation); err != nil || generation < result.Generation {
					t.Errorf("a poll after generation %d is of %d", result.Generation, generation)
				}
				if want := fmt.Sprintf("%q:%d", field, n); !strings.Contains(string(poll.body), want) {
					t.Errorf("a poll after the write has no %s: %s", want, poll.body)
				}
			}
		})
	}
	writing.Wait()
	if g := h.get(oneWeb).header.Get("Tributary-Generation"); g != "91" {
		t.Errorf("generation %s, want 91", g)
	}
}

// A stale part is shown everywhere, and does not stop a release that the guard allows.
func TestStalePartIsShown(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	h.write(t, "fleet.yaml", strings.Replace(liveFleet["fleet.yaml"], "spec:\n", "spec:\n  guard: {allowOrphanedParts: true}\n", 1))
	h.fleet.Look()
	eventually(t, func() bool { return h.get(oneWeb).header.Get("Tributary-Generation") == "2" })
	h.change("PATCH", "/api/v1/clusters/one/objects/ConfigMap/twice?namespace=b", mergePatch, `{"data": {"a": "b"}}`).wantKept(t)
	h.setTag("one", "v2")
	base, _, _ := strings.Cut(liveFleet["base/app.yaml"], "---\napiVersion: v1\nkind: ConfigMap")
	h.write(t, "base/app.yaml", base)
	h.fleet.Look()
	eventually(t, func() bool {
		return h.fleet.Status().Failed == nil && h.get(oneWeb).header.Get("Tributary-Generation") == "5"
	})
	want := []api.StalePart{{Cluster: "one", StalePart: fleet.StalePart{Part: fleet.Part{Delta: "cluster/one", Field: "edits[0]"}}}}
	var deltas api.List[api.Delta]
	h.get("/api/v1/deltas").wantOK(t, &deltas)
	if len(deltas.Items) != 1 || len(deltas.Items[0].Status.Orphans) != 1 {
		t.Fatalf("deltas %+v, want one with an orphan", deltas)
	}
	got := deltas.Items[0].Status.Orphans
	if got[0].Reason == "" {
		t.Error("the orphan has no reason")
	}
	if got[0].Reason = ""; !reflect.DeepEqual(got, want) {
		t.Errorf("orphans %+v, want %+v", got, want)
	}
	if r := h.get("/api/v1/clusters/one"); !strings.Contains(string(r.body), `"field":"edits[0]"`) {
		t.Errorf("the cluster does not show it: %s", r.body)
	}
	if n := h.metric("tributary_orphaned_parts"); n != "1" {
		t.Errorf("metrics count %q orphaned parts, want 1", n)
	}
	if r := h.get("/api/v1/flux/clusters/one/apps"); !strings.Contains(string(r.body), `"tag":"v2"`) {
		t.Errorf("the other part is not applied: %s", r.body)
	}
	h.setTag("one", "v3")
}

// A target that selects nothing is a warning, of the write and of each release.
func TestTargetThatSelectsNothingIsAWarning(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	result := h.change("PUT", pin, yamlDoc, `selector: {}
patches: [{target: {kind: App, name: gone}, patch: "- {op: add, path: /spec/a, value: 1}"}]`).wantKept(t)
	if len(result.Warnings) == 0 {
		t.Errorf("result %+v, want a warning", result)
	}
	h.write(t, "base/app.yaml", strings.ReplaceAll(liveFleet["base/app.yaml"], "v1,", "v2,"))
	h.fleet.Look()
	eventually(t, func() bool { return h.get(oneWeb).header.Get("Tributary-Generation") == "3" })
	if r := h.get("/api/v1/releases"); !strings.Contains(string(r.body), `"delta":"delta/pin"`) {
		t.Errorf("GET /api/v1/releases does not show it: %s", r.body)
	}
}
