package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server"
)

// Promise 1: a 200 has the complete set of a live release. Before a release is live, and
// for an unknown cluster or set, the answer must make Flux keep what it has.
func TestNothingUnknownIsAnsweredAsEmpty(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	mustNotBeGood := func(path, token string, status int, name string) {
		t.Helper()
		for _, accept := range []string{"gzip", "identity"} {
			reply := h.get(path, append(bearer(token), "Accept-Encoding", accept, "If-None-Match", "*")...)
			reply.problem(t, status, name)
			if strings.Contains(string(reply.body), "inputs\"") {
				t.Errorf("%s: the body looks like inputs: %s", path, reply.body)
			}
			if status == http.StatusServiceUnavailable && reply.header.Get("Retry-After") == "" {
				t.Errorf("%s: 503 without Retry-After", path)
			}
		}
	}
	polls := []string{"/api/v1/flux/clusters", "/api/v2/flux/clusters", kedaPath,
		"/api/v2/flux/clusters/eu-prod-01/platform-components", "/api/v1/flux/clusters/eu-prod-01/rolebindings",
		"/api/v1/flux/clusters/nobody/platform-components", "/api/v1/flux/clusters/eu-prod-01/nothing"}
	unready := func() {
		t.Helper()
		for _, path := range append([]string{"/api/v1/clusters", "/readyz"}, polls...) {
			mustNotBeGood(path, viewerToken, http.StatusServiceUnavailable, "not-ready")
		}
	}
	unready() // before the source was read

	h.source.set("", repo{}, errors.New("connection refused"))
	h.fleet.Look()
	eventually(t, func() bool { return h.fleet.Status().SourceError != nil })
	unready()

	bad := acme("main@sha1:1")
	bad.Faults = fleet.Problems{{File: "fleet.yaml", Line: 3, Message: "is wrong"}}
	h.release("main@sha1:1", bad)
	unready()

	h.release("main@sha1:2", acme("main@sha1:2"))
	for _, path := range []string{
		"/api/v1/flux/clusters/nobody/platform-components",
		"/api/v1/flux/clusters/nobody/rolebindings",
		"/api/v1/flux/clusters/eu-prod-01/nothing",
		"/api/v1/flux/clusters/EU-PROD-01/platform-components",
		"/api/v1/flux/clusters?selector=environment%3Dnone",
	} {
		mustNotBeGood(path, viewerToken, http.StatusNotFound, "not-found")
	}
	mustNotBeGood("/api/v1/flux/clusters/ghost/platform-components", ghostToken, http.StatusNotFound, "not-found")
	// A set that is empty in the release is served empty, since fleet.yaml allows it.
	if got := h.get("/api/v1/flux/clusters/eu-prod-01/rolebindings", bearer(viewerToken)...); string(got.body) != `{"inputs":[]}` {
		t.Errorf("rolebindings = %d %s", got.status, got.body)
	}
}

// Promise 2, as far as the API shows it: a failed revision changes no answer.
func TestFailedReleaseKeepsLastGood(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	before := h.get(kedaPath)
	bad := acme("main@sha1:2")
	bad.Faults = fleet.Problems{{File: "clusters/eu.yaml", Line: 7, Field: "spec.patches[0]", Message: "hits nothing"}}
	h.release("main@sha1:2", bad)
	h.source.set("", repo{}, errors.New("connection refused"))
	h.fleet.Look()
	eventually(t, func() bool { return h.fleet.Status().SourceError != nil })
	after := h.get(kedaPath)
	if string(after.body) != string(before.body) || after.header.Get("ETag") != before.header.Get("ETag") ||
		after.header.Get("Tributary-Revision") != "main@sha1:1" {
		t.Errorf("after a failed revision: %v %s", after.header, after.body)
	}
	if got := h.get("/readyz").status; got != http.StatusOK {
		t.Errorf("readyz = %d, want 200", got)
	}
}

// Promise 4, as far as the API shows it: each answer is complete and of one release, while
// releases go live during many polls.
func TestAnswersAreOfOneReleaseWhileReleasesSwap(t *testing.T) {
	t.Parallel()
	from := &source{}
	h := start(t, func(c *server.Config) {
		// A short interval, since looks that are requested are rate limited.
		c.Fleet = controller.New(controller.Config{Source: from, Renderer: &renderer{}, Interval: time.Millisecond})
		c.Limits.PollRate = -1
	})
	const pollers = 16
	polls := int64(herdSize(10_000))
	revision := func(n int) string { return fmt.Sprintf("main@sha1:%040x", n) }
	var tags sync.Map // by polled; stored before the release can be served
	release := func(r string) {
		content := acme(r)
		body := view.TextBody(content.Members[1].render().Inputs["platform-components"].JSON())
		tags.Store(polled{r, false}, body.ETag())
		tags.Store(polled{r, true}, body.GzipETag())
		from.set(r, acme(r), nil)
		eventually(t, func() bool {
			view, err := h.fleet.View()
			return err == nil && view.Release().Revision == r
		})
	}
	release(revision(0))
	var left atomic.Int64
	left.Store(polls)
	var seen sync.Map
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: pollers, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var running sync.WaitGroup
	for n := range pollers {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				got, tag, err := pollOnce(client, h.url+kedaPath, n%2 == 0)
				if err != nil {
					t.Error(err)
					return
				}
				if want, _ := tags.Load(got); tag != want {
					t.Errorf("%+v: ETag = %s, want %s", got, tag, want)
				}
				seen.Store(got.revision, true)
			}
		})
	}
	for n := 1; left.Load() > 0; n++ {
		release(revision(n))
		goal := left.Load() - 20
		eventually(t, func() bool { return left.Load() <= max(goal, 0) })
	}
	running.Wait()
	releases := 0
	seen.Range(func(any, any) bool { releases++; return true })
	if releases < 2 {
		t.Errorf("polls saw %d releases: the test checks nothing", releases)
	}
}

type polled struct {
	revision string
	packed   bool
}

// pollOnce checks that the body and the headers of an answer are of one revision. It
// returns the revision and the ETag.
func pollOnce(client *http.Client, url string, gzip bool) (polled, string, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return polled{}, "", err
	}
	if gzip {
		r.Header.Set("Accept-Encoding", "gzip")
	}
	response, err := client.Do(r)
	if err != nil {
		return polled{}, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return polled{}, "", err
	}
	if gzip {
		body = unzip(body)
	}
	p := polled{response.Header.Get("Tributary-Revision"), response.Header.Get("Content-Encoding") == "gzip"}
	var got inputs
	if err := json.Unmarshal(body, &got); err != nil || response.StatusCode != 200 || len(got.Inputs) != 2 || p.packed != gzip {
		return p, "", fmt.Errorf("%d %v %q: %w", response.StatusCode, response.Header, body, err)
	}
	for _, in := range got.Inputs {
		if in.Revision != p.revision || in.Cluster.Name != "eu-prod-01" {
			return p, "", fmt.Errorf("an input of %s in an answer of %s", in.Revision, p.revision)
		}
	}
	return p, response.Header.Get("ETag"), nil
}

// Promise 6: a cluster's credential reads that cluster's inputs and nothing else.
// TestWhoMayDoWhat has every route.
func TestClusterReadsItsOwnInputsAndNothingElse(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.release("main@sha1:1", acme("main@sha1:1"))
	for _, cluster := range []string{"eu-prod-01", "eu-prod-01.k8s.example.com", "us-prod-01", "us-prod-01.k8s.example.com", "nobody", "ghost"} {
		want := http.StatusForbidden
		if strings.HasPrefix(cluster, "eu-prod-01") {
			want = http.StatusOK
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, version := range []string{"v1", "v2"} {
				path := "/api/" + version + "/flux/clusters/" + cluster + "/platform-components"
				if got := h.do(method, path, bearer(clusterToken)...); got.status != want {
					t.Errorf("%s %s with a token of eu-prod-01 = %d, want %d", method, path, got.status, want)
				}
			}
		}
		for _, below := range []string{"", "/objects", "/objects/PlatformComponent/keda", "/delta"} {
			if got := h.get("/api/v1/clusters/"+cluster+below, bearer(clusterToken)...); got.status != http.StatusForbidden {
				t.Errorf("%s of %s with a token of eu-prod-01 = %d, want 403", below, cluster, got.status)
			}
		}
	}
	// A forbidden answer must not reveal what exists.
	other := h.get("/api/v1/flux/clusters/us-prod-01/platform-components", bearer(clusterToken)...)
	for _, path := range []string{"/api/v1/flux/clusters/nobody/platform-components", "/api/v1/flux/clusters/us-prod-01/nothing"} {
		if got := h.get(path, bearer(clusterToken)...); string(got.body) != string(other.body) {
			t.Errorf("%s: %s, want %s", path, got.body, other.body)
		}
	}
}

func (h *harness) liveID() string {
	h.t.Helper()
	view, err := h.fleet.View()
	if err != nil {
		h.t.Fatal(err)
	}
	return view.Release().ID
}
