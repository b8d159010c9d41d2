package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/server/api"
)

const (
	mergePatch       = "application/merge-patch+json"
	jsonPatch        = "application/json-patch+json"
	strategicPatch   = "application/strategic-merge-patch+json"
	jsonDoc, yamlDoc = "application/json", "application/yaml"

	oneWeb = "/api/v1/clusters/one/objects/App/web"
	ownOne = "/api/v1/clusters/one/delta"
	pin    = "/api/v1/deltas/pin"
)

// refusals are writes that must change nothing, with their answers.
var refusals = []struct {
	name, method, path, contentType, body string

	status  int
	problem string
	at      string // one of the paths in errors
	detail  string // a part of it
}{
	{"patch for no cluster", "PATCH", "/api/v1/clusters/none/objects/App/web", mergePatch, `{}`, 404, "not-found", "", `cluster "none"`},
	{"patch of no object", "PATCH", "/api/v1/clusters/one/objects/App/none", mergePatch, `{}`, 404, "not-found", "", "App/none"},
	{"patch of several objects", "PATCH", "/api/v1/clusters/one/objects/ConfigMap/twice", mergePatch, `{"data": {}}`, 409, "conflict", "", "by group or namespace"},
	{"deletion of several objects", "DELETE", "/api/v1/clusters/one/objects/ConfigMap/twice", "", ``, 409, "conflict", "", "by group or namespace"},
	{"deletion of no object", "DELETE", "/api/v1/clusters/one/objects/App/none", "", ``, 404, "not-found", "", "App/none"},
	{"deletion for no cluster", "DELETE", "/api/v1/clusters/none/objects/App/web", "", ``, 404, "not-found", "", `cluster "none"`},
	{"deletion that leaves a set empty", "DELETE", oneWeb, "", ``, 422, "invalid", `cluster "one"`, "empty"},
	{"patch of another type", "PATCH", oneWeb, jsonDoc, `{}`, 415, "media-type", "", mergePatch},
	{"patch of no type", "PATCH", oneWeb, "", `{}`, 415, "media-type", "", mergePatch},
	{"patch that is empty", "PATCH", oneWeb, mergePatch, ``, 400, "bad-request", "", "empty"},
	{"patch that is not UTF-8", "PATCH", oneWeb, mergePatch, "{\"spec\": {\"tag\": \"\xff\"}}", 400, "bad-request", "", "UTF-8"},
	{"patch over the limit", "PATCH", oneWeb, mergePatch, `{"spec": {"tag": "` + strings.Repeat("x", 2<<20) + `"}}`, 413, "too-long", "", "bytes"},
	{"patch that is cut", "PATCH", oneWeb, mergePatch, `{"spec": `, 422, "invalid", "", ""},
	{"patch with more behind it", "PATCH", oneWeb, mergePatch, `{} {}`, 422, "invalid", "", ""},
	{"patch that is a list", "PATCH", oneWeb, mergePatch, `[]`, 422, "invalid", "", ""},
	{"patch that is null", "PATCH", oneWeb, mergePatch, `null`, 422, "invalid", "", ""},
	{"patch with NUL", "PATCH", oneWeb, mergePatch, `{"spec": {"tag": "\u0000"}}`, 422, "invalid", "", "NUL"},
	{"patch that lies deep", "PATCH", oneWeb, mergePatch, `{"spec": ` + strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000) + `}`, 422, "invalid", "", "deep"},
	{"patch of the name", "PATCH", oneWeb, mergePatch, `{"metadata": {"name": "other"}}`, 422, "invalid", "", "metadata.name"},
	{"patch against the schema", "PATCH", oneWeb, mergePatch, `{"spec": {"replicas": "many"}}`, 422, "invalid", `cluster "one"`, "replicas"},
	{"operations that are no list", "PATCH", oneWeb, jsonPatch, `{}`, 422, "invalid", "", ""},
	{"operation that is not known", "PATCH", oneWeb, jsonPatch, `[{"op": "wish", "path": "/spec/tag"}]`, 422, "invalid", "", ""},
	{"operation on what is not there", "PATCH", oneWeb, jsonPatch, `[{"op": "replace", "path": "/spec/none/tag", "value": 1}]`, 422, "invalid", "", ""},
	{"operation whose test fails", "PATCH", oneWeb, jsonPatch, `[{"op": "test", "path": "/spec/tag", "value": "v9"}]`, 422, "invalid", "", ""},
	{"strategic patch that is cut", "PATCH", oneWeb, strategicPatch, `{"spec"`, 422, "invalid", "", ""},
	{"misspelt parameter", "PATCH", oneWeb + "?dryrun=true", mergePatch, `{"spec": {"tag": "v2"}}`, 400, "bad-request", "", "dryrun"},
	{"dryRun without a value", "PATCH", oneWeb + "?dryRun", mergePatch, `{"spec": {"tag": "v2"}}`, 400, "bad-request", "", "dryRun"},
	{"dryRun that is neither", "PATCH", oneWeb + "?dryRun=maybe", mergePatch, `{"spec": {"tag": "v2"}}`, 400, "bad-request", "", "dryRun"},

	{"object that Git has", "PUT", oneWeb, jsonDoc, `{"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "web"}}`, 409, "conflict", "", "patch it instead"},
	{"object of another name", "PUT", oneWeb, jsonDoc, `{"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "shop"}}`, 422, "invalid", "", "App/shop"},
	{"object without a name", "PUT", oneWeb, jsonDoc, `{"apiVersion": "example.com/v1", "kind": "App"}`, 422, "invalid", "metadata.name", ""},
	{"object for no cluster", "PUT", "/api/v1/clusters/none/objects/App/web", jsonDoc, `{"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "web"}}`, 404, "not-found", "", `cluster "none"`},
	{"object of another type", "PUT", oneWeb, "text/plain", `x`, 415, "media-type", "", jsonDoc},
	{"two objects in one", "PUT", "/api/v1/clusters/one/objects/Namespace/n", jsonDoc, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "m"}}`, 422, "invalid", "", ""},
	{"object that ends its list", "PUT", "/api/v1/clusters/one/objects/Namespace/n", jsonDoc, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}], "edits": [{"kind": "App", "name": "web", "patch": {"spec": {"tag": "v6"}}}`, 422, "invalid", "", ""},
	{"object that is a list", "PUT", oneWeb, jsonDoc, `[]`, 422, "invalid", "", ""},

	{"delta for no cluster", "PUT", "/api/v1/clusters/none/delta", jsonDoc, `{}`, 404, "not-found", "", `cluster "none"`},
	{"own delta with a selector", "PUT", ownOne, jsonDoc, `{"selector": {}}`, 422, "invalid", "selector", ""},
	{"own delta with a name", "PUT", ownOne, jsonDoc, `{"name": "pin", "selector": {}}`, 422, "invalid", "name", ""},
	{"own delta of another cluster", "PUT", ownOne, jsonDoc, `{"cluster": "two"}`, 422, "invalid", "cluster", ""},
	{"delta of another name", "PUT", pin, jsonDoc, `{"name": "pun", "selector": {}}`, 422, "invalid", "name", ""},
	{"delta whose name is no label", "PUT", "/api/v1/deltas/Pin_1", jsonDoc, `{"selector": {}}`, 422, "invalid", "name", "DNS-1123"},
	{"delta for a name that is no label", "PUT", pin, jsonDoc, `{"clusters": ["one", "No_1"]}`, 422, "invalid", "clusters[1]", "DNS-1123"},
	{"delta for nobody said", "PUT", pin, jsonDoc, `{}`, 422, "invalid", "selector", ""},
	{"delta for both", "PUT", pin, jsonDoc, `{"selector": {}, "clusters": ["one"]}`, 422, "invalid", "clusters", ""},
	{"delta with an unknown field", "PUT", pin, jsonDoc, `{"selector": {}, "edit": []}`, 422, "invalid", "edit", "unknown field"},
	{"delta with a field twice", "PUT", pin, jsonDoc, `{"selector": {}, "reason": "a", "reason": "b"}`, 422, "invalid", "", "reason"},
	{"delta with NUL", "PUT", pin, jsonDoc, `{"selector": {}, "reason": "a\u0000"}`, 422, "invalid", "reason", ""},
	{"delta that lies deep", "PUT", pin, jsonDoc, `{"selector": {}, "resources": ` + strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000) + `}`, 422, "invalid", "", "deep"},
	{"delta that has expired", "PUT", pin, jsonDoc, `{"selector": {}, "expiresAt": "2001-01-01T00:00:00Z"}`, 422, "invalid", "expiresAt", ""},
	{"delta that expires some time", "PUT", pin, jsonDoc, `{"selector": {}, "expiresAt": "soon"}`, 422, "invalid", "expiresAt", ""},
	{"delta that is a list", "PUT", pin, jsonDoc, `[]`, 422, "invalid", "", ""},
	{"delta that is several", "PUT", pin, yamlDoc, "selector: {}\n---\nselector: {}\n", 422, "invalid", "", "one document"},
	{"delta of another type", "PUT", pin, "text/yaml", `selector: {}`, 415, "media-type", "", yamlDoc},
	{"delta over the limit", "PUT", pin, jsonDoc, `{"selector": {}, "reason": "` + strings.Repeat("x", 2<<20) + `"}`, 413, "too-long", "", "bytes"},
	{"delta of an edit that hits nothing", "PUT", pin, jsonDoc, `{"selector": {}, "edits": [{"kind": "App", "name": "none", "patch": {}}]}`, 422, "invalid", `clusters "one", "two": edits[0]`, "App/none"},
	{"delta against the schema of each", "PUT", pin, jsonDoc, `{"selector": {}, "edits": [{"kind": "App", "name": "web", "patch": {"spec": {"replicas": "x"}}}]}`, 422, "invalid", `clusters "one", "two"`, "replicas"},
	{"deletion of no delta", "DELETE", pin, "", ``, 404, "not-found", "", `delta "pin"`},
	{"deletion of no delta of its own", "DELETE", ownOne, "", ``, 404, "not-found", "", `own delta of cluster "one"`},

	{"rollback to nothing", "POST", "/api/v1/rollback", jsonDoc, `{}`, 422, "invalid", "generation", ""},
	{"rollback to what is to come", "POST", "/api/v1/rollback", jsonDoc, `{"generation": 99}`, 404, "not-found", "", "generation 99"},
	{"rollback of both", "POST", "/api/v1/rollback", jsonDoc, `{"generation": 1, "cluster": "one", "delta": "pin"}`, 422, "invalid", "delta", ""},
	{"rollback of no delta", "POST", "/api/v1/rollback", jsonDoc, `{"generation": 1, "delta": "pin"}`, 404, "not-found", "", `delta "pin"`},
	{"rollback of more than is known", "POST", "/api/v1/rollback", jsonDoc, `{"generation": 1, "clusters": []}`, 400, "bad-request", "", "clusters"},
	{"rollback with more behind it", "POST", "/api/v1/rollback", jsonDoc, `{"generation": 1} {}`, 400, "bad-request", "", "more after the document"},
	{"rollback to a text", "POST", "/api/v1/rollback", jsonDoc, `{"generation": "1"}`, 400, "bad-request", "", "generation"},
	{"rollback of another type", "POST", "/api/v1/rollback", "text/plain", `{"generation": 1}`, 415, "media-type", "", jsonDoc},
}

func TestBadWriteIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			answer := h.change(r.method, r.path, r.contentType, r.body)
			detail := answer.problem(t, r.status, r.problem)
			var p api.Problem
			if err := json.Unmarshal(answer.body, &p); err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, e := range p.Errors {
				paths = append(paths, e.Path)
				if e.Message == "" {
					t.Errorf("errors has no message at %q", e.Path)
				}
			}
			if r.at != "" && !strings.Contains("\n"+strings.Join(paths, "\n"), "\n"+r.at) {
				t.Errorf("errors are at %q, want one at %q", paths, r.at)
			}
			if len(detail) < 10 || !strings.Contains(detail, r.detail) || len(detail) > 4096 {
				t.Errorf("detail %q, want one that says %q", detail, r.detail)
			}
		})
	}
	if g := h.get(oneWeb).header.Get("Tributary-Generation"); g != "1" {
		t.Errorf("generation %s, want 1: something was kept", g)
	}
}

func TestWritesNeedAnOperator(t *testing.T) {
	t.Parallel()
	h := startLive(t, withTokens(t))
	patch := func(token, tag string) reply {
		return h.change("PATCH", oneWeb, mergePatch, `{"spec": {"tag": "`+tag+`"}}`, bearer(token)...)
	}
	for _, token := range []string{viewerToken, clusterToken, bootstrapToken} {
		patch(token, "no").problem(t, 403, "forbidden")
	}
	h.change("PATCH", oneWeb, mergePatch, `{}`).problem(t, 401, "unauthenticated")
	for i, who := range []struct{ token, name string }{{operatorToken, "pipeline"}, {adminToken, "ada"}} {
		patch(who.token, who.name).wantKept(t)
		var change struct{ Actor string }
		h.get("/api/v1/history/"+string(rune('2'+i)), bearer(viewerToken)...).wantOK(t, &change)
		if change.Actor != who.name {
			t.Errorf("the history names %q, want %q", change.Actor, who.name)
		}
	}
	for _, path := range []string{ownOne, "/api/v1/deltas", "/api/v1/history"} {
		if r := h.get(path, bearer(viewerToken)...); r.status != http.StatusOK {
			t.Errorf("GET %s by a viewer = %d", path, r.status)
		}
		h.get(path, bearer(clusterToken)...).problem(t, 403, "forbidden")
	}
}

func TestDryRunKeepsNothing(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	for _, w := range []struct{ method, path, contentType, body string }{
		{"PATCH", oneWeb, mergePatch, `{"spec": {"tag": "v2"}}`},
		{"PUT", pin, yamlDoc, "selector: {}\nedits: [{kind: App, name: web, patch: {spec: {tag: v2}}}]\n"},
		{"PUT", "/api/v1/clusters/one/objects/Namespace/n", jsonDoc, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}`},
	} {
		r := h.change(w.method, w.path+"?dryRun=true", w.contentType, w.body)
		if result := r.wantKept(t); !result.DryRun || result.Generation != 1 || len(result.Changes) == 0 {
			t.Errorf("%s %s = %s, want changes that were not kept", w.method, w.path, r.body)
		}
	}
	var history api.List[struct{}]
	h.get("/api/v1/history").wantOK(t, &history)
	if len(history.Items) != 1 || !strings.Contains(string(h.get("/api/v1/flux/clusters/one/apps").body), `"tag":"v1"`) {
		t.Errorf("a dry run was kept")
	}
}

func TestObjectIsADocument(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	path := "/api/v1/clusters/one/objects/Namespace/n"
	h.change("PUT", path, yamlDoc, "# A team's.\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: n\n  labels:\n    team: yes # not true\n# end").wantKept(t)
	var object struct {
		Metadata struct{ Labels map[string]string }
	}
	if h.get(path).wantOK(t, &object); object.Metadata.Labels["team"] != "yes" {
		t.Errorf("labels %v", object.Metadata.Labels)
	}
	if !strings.Contains(string(h.get("/api/v1/flux/clusters/one/namespaces").body), `"id":"n","labels":{"team":"yes"}`) {
		t.Error("a poll does not have the object")
	}
}

func TestDeltaForNoClusterIsAWarning(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	result := h.change("PUT", pin, yamlDoc, "selector: {matchLabels: {environment: none}}\nedits: [{kind: App, name: none, patch: {}}]\n").wantKept(t)
	if len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "for no cluster") || result.Generation != 2 {
		t.Errorf("result %+v, want generation 2 and a warning", result)
	}
}

func TestPreconditionsDecideWhetherAWriteIsKept(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	tagOf := func(path string) string { return h.get(path).header.Get("ETag") }
	put := func(tag, header, value string) reply {
		return h.change("PUT", pin, jsonDoc, `{"selector": {}, "edits": [{"kind": "App", "name": "web", "patch": {"spec": {"tag": "`+tag+`"}}}]}`, header, value)
	}
	put("a", "If-Match", `*`).problem(t, 412, "stale")
	put("a", "If-None-Match", `*`).wantKept(t)
	put("b", "If-None-Match", `*`).problem(t, 412, "stale")
	first := tagOf(pin)
	put("b", "If-Match", first).wantKept(t)
	put("c", "If-Match", first).problem(t, 412, "stale")
	put("c", "If-Match", `"other", `+tagOf(pin)).wantKept(t)
	put("d", "If-Match", h.get(pin, "Accept-Encoding", "gzip").header.Get("ETag")).wantKept(t)

	object := tagOf(oneWeb)
	patch := func(tag, match string) reply {
		return h.change("PATCH", oneWeb, mergePatch, `{"spec": {"tag": "`+tag+`"}}`, "If-Match", match)
	}
	patch("own", object).wantKept(t)
	patch("later", object).problem(t, 412, "stale")
	h.do("DELETE", oneWeb, "If-Match", object).problem(t, 412, "stale")
	h.do("DELETE", ownOne, "If-Match", `"other"`).problem(t, 412, "stale")
	h.do("DELETE", ownOne, "If-Match", tagOf(ownOne)).wantKept(t)
	h.change("POST", "/api/v1/rollback", jsonDoc, `{"generation": 1}`, "If-Match", `*`).problem(t, 400, "bad-request")

	namespace := "/api/v1/clusters/one/objects/Namespace/n"
	add := func(team, header, value string) reply {
		return h.change("PUT", namespace, jsonDoc, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"team": "`+team+`"}}}`, header, value)
	}
	add("a", "If-None-Match", `*`).wantKept(t)
	added := tagOf(namespace)
	add("b", "If-None-Match", `*`).problem(t, 412, "stale")
	add("b", "If-Match", added).wantKept(t)
	add("c", "If-Match", added).problem(t, 412, "stale")

	var releases api.Releases
	h.get("/api/v1/releases").wantOK(t, &releases)
	freeze := "/api/v1/pins/freeze"
	keep := func(reason, header, value string) reply {
		return h.change("PUT", freeze, jsonDoc, `{"selector": {}, "release": "`+releases.Items[0].ID+`", "reason": "`+reason+`"}`, header, value)
	}
	keep("a", "If-Match", `*`).problem(t, 412, "stale")
	keep("a", "If-None-Match", `*`).wantKept(t)
	keep("b", "If-None-Match", `*`).problem(t, 412, "stale")
	pinned := tagOf(freeze)
	keep("b", "If-Match", pinned).wantKept(t)
	keep("c", "If-Match", pinned).problem(t, 412, "stale")
	h.do("DELETE", freeze, "If-Match", pinned).problem(t, 412, "stale")
	h.do("DELETE", freeze, "If-Match", tagOf(freeze)).wantKept(t)
}

// Errors that say more than that a precondition does not hold come first.
func TestPreconditionOfWhatCannotBeWrittenChangesNoError(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	none := "/api/v1/clusters/none"
	for _, header := range []string{"If-Match", "If-None-Match"} {
		h.change("PATCH", none, mergePatch, `{}`, header, `*`).problem(t, 404, "not-found")
		h.do("DELETE", none, header, `*`).problem(t, 404, "not-found")
		h.change("PATCH", none+"/objects/App/web", mergePatch, `{}`, header, `*`).problem(t, 404, "not-found")
		h.do("DELETE", "/api/v1/clusters/one/objects/App/none", header, `*`).problem(t, 404, "not-found")
		h.do("DELETE", pin, header, `*`).problem(t, 404, "not-found")
		h.do("DELETE", "/api/v1/pins/none", header, `*`).problem(t, 404, "not-found")
		h.change("PATCH", "/api/v1/clusters/one", mergePatch, `{}`, header, `"other"`).problem(t, 409, "conflict")
		h.change("PUT", oneWeb, jsonDoc, `{"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "web"}}`, header, `*`).problem(t, 409, "conflict")
	}
}

func TestReasonIsOneLineOfText(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	patch := func(tag, reason string) reply {
		return h.change("PATCH", oneWeb, mergePatch, `{"spec": {"tag": "`+tag+`"}}`, "Tributary-Reason", reason)
	}
	for _, reason := range []string{"a\tb", "\xff", "a\u0085b", strings.Repeat("x", 1025)} {
		patch("no", reason).problem(t, 400, "bad-request")
	}
	patch("v2", "räumt auf, INC-1").wantKept(t)
	var change struct{ Reason string }
	if h.get("/api/v1/history/2").wantOK(t, &change); change.Reason != "räumt auf, INC-1" {
		t.Errorf("reason %q", change.Reason)
	}
}
