package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

type clusterList struct {
	Items []struct {
		Name, DNS, Overlay, File string
		Labels                   map[string]string
		Components               []string
		Placement                fleet.Placement
		Inputs                   map[string]int
		Release                  struct{ ID, Revision string }
	}
	Next string
}

func (l clusterList) names() []string {
	var names []string
	for _, c := range l.Items {
		names = append(names, c.Name)
	}
	return names
}

func TestClustersShowDeclarationPlacementAndRelease(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	reply := h.get("/api/v1/clusters/eu-prod-01.k8s.example.com")
	want := `{"name":"eu-prod-01","dns":"eu-prod-01.k8s.example.com","labels":{"environment":"prod","region":"eu"},` +
		`"components":["components/gpu"],"file":"clusters/eu-prod-01.yaml","state":"active","declaredBy":"git",` +
		`"placement":{"overlay":"overlays/prod","components":["components/gpu"]},` +
		`"inputs":{"platform-components":2,"rolebindings":0},"release":{"id":"` + h.liveID() + `","revision":"main@sha1:1"},"contact":"never"}`
	if got := strings.TrimSpace(string(reply.body)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var all clusterList
	h.get("/api/v1/clusters").wantOK(t, &all)
	if got := all.names(); !slices.Equal(got, []string{"eu-dev-01", "eu-prod-01", "us-prod-01"}) || all.Next != "" {
		t.Errorf("clusters = %v, next %q", got, all.Next)
	}
	if got := reply.header.Get("Tributary-Revision"); got != "main@sha1:1" {
		t.Errorf("Tributary-Revision = %q", got)
	}
	h.get("/api/v1/clusters/nobody").problem(t, http.StatusNotFound, "not-found")
	h.get("/api/v1/clusters/eu-prod-01?x=1").problem(t, http.StatusBadRequest, "bad-request")
}

func TestPagesHaveEachClusterOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	many := repo{InputSets: []string{"s"}}
	var want []string
	for n := range 25 {
		c := &fleet.Cluster{Name: fmt.Sprintf("c-%02d", n), Labels: map[string]string{"odd": fmt.Sprint(n % 2)}}
		many.Members = append(many.Members, member{Cluster: c, Inputs: map[string][]map[string]any{"s": {{"id": "a"}}}})
		if n%2 == 1 {
			want = append(want, c.Name)
		}
	}
	h.release("main@sha1:1", many)
	for _, limit := range []int{1, 3, 12, 13, 1000} {
		var got []string
		for cursor, pages := "", 0; ; pages++ {
			var page clusterList
			h.get(fmt.Sprintf("/api/v1/clusters?selector=odd%%3D1&limit=%d&cursor=%s", limit, cursor)).wantOK(t, &page)
			got = append(got, page.names()...)
			if cursor = page.Next; cursor == "" {
				break
			}
			if len(page.Items) != limit || pages > 25 {
				t.Fatalf("limit %d: a page of %d, next %q", limit, len(page.Items), cursor)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=1001", "limit=x", "limit=", "cursor=%21", "cursor=Li4vLi4", "cursor=wOg", "cursor=QS1i", "selector=a%20b", "page=2"} {
		h.get("/api/v1/clusters?"+query).problem(t, http.StatusBadRequest, "bad-request")
	}
	var none clusterList
	h.get("/api/v1/clusters?selector=odd%3D3").wantOK(t, &none)
	if none.Items == nil || len(none.Items) > 0 {
		t.Errorf("items = %v, want []", none.Items)
	}
}

func TestObjectsAreComplete(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	var all struct{ Items []map[string]any }
	h.get("/api/v1/clusters/eu-prod-01/objects").wantOK(t, &all)
	if got, want := asJSON(all.Items), asJSON(acme("").Members[1].Objects); got != want {
		t.Errorf("objects = %s\nwant %s", got, want)
	}
	var one map[string]any
	h.get("/api/v1/clusters/eu-prod-01/objects/platformcomponent/keda").wantOK(t, &one)
	if got, want := asJSON(one), asJSON(acme("").Members[1].Objects[0]); got != want {
		t.Errorf("object = %s\nwant %s", got, want)
	}
}

func TestObjectIsFoundByGroupAndNamespace(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	const objects = "/api/v1/clusters/eu-prod-01/objects"
	for path, want := range map[string]string{
		"/Service/podinfo?namespace=web":                           "v1 web",
		"/service/podinfo?namespace=api&group=":                    "v1 api",
		"/Ingress/podinfo?group=traefik.io":                        "traefik.io/v1 web",
		"/Ingress/podinfo?group=networking.k8s.io&namespace=web":   "networking.k8s.io/v1 web",
		"/PlatformComponent/keda?namespace=":                       "platform.example.com/v1 <nil>",
		"/PlatformComponent/%6beda?group=platform%2Eexample%2Ecom": "platform.example.com/v1 <nil>",
	} {
		var got struct {
			APIVersion string
			Metadata   map[string]any
		}
		h.get(objects+path).wantOK(t, &got)
		if found := fmt.Sprint(got.APIVersion, " ", got.Metadata["namespace"]); found != want {
			t.Errorf("%s = %s, want %s", path, found, want)
		}
	}
	detail := h.get(objects+"/Ingress/podinfo").problem(t, http.StatusConflict, "conflict")
	for _, want := range []string{"networking.k8s.io/v1 web/podinfo", "traefik.io/v1 web/podinfo", "by group or namespace"} {
		if !strings.Contains(detail, want) {
			t.Errorf("detail = %s, want %s in it", detail, want)
		}
	}
	for _, path := range []string{"/Service/nobody", "/Nothing/podinfo", "/Service/podinfo?namespace=other", "/Service/podinfo?group=apps",
		"/Service/web%2Fpodinfo", "/Service/", "/Service"} {
		h.get(objects+path).problem(t, http.StatusNotFound, "not-found")
	}
	h.get("/api/v1/clusters/nobody/objects").problem(t, http.StatusNotFound, "not-found")
	h.get(objects+"/Service/podinfo?ns=web").problem(t, http.StatusBadRequest, "bad-request")
}

type releaseList struct {
	Items  []fleet.Release
	Source struct{ Name, LookedAt, Error string }
}

func TestReleasesShowLiveAndFailedOnes(t *testing.T) {
	t.Parallel()
	h := start(t)
	var got releaseList
	h.get("/api/v1/releases").wantOK(t, &got)
	if got.Items == nil || len(got.Items) != 0 || got.Source.Name != "memory:fleet" {
		t.Errorf("before the first look: %+v", got)
	}
	good := acme("main@sha1:1")
	good.Faults = fleet.Problems{{File: "fleet.yaml", Message: "could be better", Warning: true}}
	h.release("main@sha1:1", good)
	bad := acme("main@sha1:2")
	bad.Faults = fleet.Problems{
		{File: "clusters/eu.yaml", Line: 7, Field: "spec.patches[0]", Message: "hits nothing: correct its name"},
		{Cluster: "us-prod-01", Message: "has no overlay"},
	}
	h.release("main@sha1:2", bad)
	h.source.set("", repo{}, errors.New("connection refused"))
	h.fleet.Look()
	eventually(t, func() bool { return h.fleet.Status().SourceError != nil })

	got = releaseList{}
	h.get("/api/v1/releases").wantOK(t, &got)
	if len(got.Items) != 2 || got.Source.LookedAt == "" || got.Source.Error != "connection refused" {
		t.Fatalf("releases = %+v", got)
	}
	failed, live := got.Items[0], got.Items[1]
	if live.State != fleet.Live || live.Revision != "main@sha1:1" || live.Clusters != 3 || asJSON(live.Problems) != asJSON(good.Faults) {
		t.Errorf("live = %+v", live)
	}
	if want := bad.Faults.Sort(); failed.State != fleet.Failed || failed.Revision != "main@sha1:2" || asJSON(failed.Problems) != asJSON(want) {
		t.Errorf("failed = %+v, want %+v", failed, want)
	}
	for _, want := range got.Items {
		var one fleet.Release
		h.get("/api/v1/releases/"+url.PathEscape(want.ID)).wantOK(t, &one)
		if asJSON(one) != asJSON(want) {
			t.Errorf("release = %+v, want %+v", one, want)
		}
	}
	h.get("/api/v1/releases/nothing").problem(t, http.StatusNotFound, "not-found")
	h.get("/api/v1/releases?x=1").problem(t, http.StatusBadRequest, "bad-request")
	h.get("/api/v1/releases/x?x=1").problem(t, http.StatusBadRequest, "bad-request")
}

func TestOperations(t *testing.T) {
	t.Parallel()
	h := start(t)
	if got := h.get("/healthz"); got.status != 200 || string(got.body) != "ok\n" {
		t.Errorf("healthz = %d %q", got.status, got.body)
	}
	h.get("/readyz").problem(t, http.StatusServiceUnavailable, "not-ready")
	h.release("main@sha1:1", acme("main@sha1:1"))
	if got := h.get("/readyz"); got.status != 200 {
		t.Errorf("readyz = %d", got.status)
	}
	page := string(h.get("/").body)
	for _, rt := range h.server.Routes() {
		if !strings.Contains(page, rt.Path) {
			t.Errorf("the page lacks %s", rt.Path)
		}
	}
	if !strings.Contains(page, "v0.0.0-test") {
		t.Error("the page lacks the version")
	}
	if got := h.metric(`tributary_live_release_info{revision="main@sha1:1"}`); got != "1" {
		t.Errorf("the fleet's metrics are not shown: %q", got)
	}
}

func TestUnknownRoutesAndMethodsAreProblems(t *testing.T) {
	t.Parallel()
	h := start(t)
	for _, path := range []string{"/nothing", "/api/v1/clusters/", "//healthz", "/healthz/", "/api/v1/../v1/clusters", "/%00", "/api/v1/clusters/a/b"} {
		h.get(path).problem(t, http.StatusNotFound, "not-found")
	}
	for _, path := range []string{"/healthz", "/api/v1/history", "/api/v1/releases/x", "/api/v1/flux/clusters"} {
		reply := h.do(http.MethodDelete, path)
		reply.problem(t, http.StatusMethodNotAllowed, "method-not-allowed")
		if got := reply.header.Get("Allow"); got != "GET, HEAD" {
			t.Errorf("%s: Allow = %q", path, got)
		}
	}
}
