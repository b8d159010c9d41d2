package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

const kedaPath = "/api/v1/flux/clusters/eu-prod-01/platform-components"

type inputs struct {
	Inputs []struct {
		ID       string
		Revision string
		Cluster  struct{ Name string }
	}
}

func TestPollAnswersTheSetByNameAndDNSUnderBothPaths(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	for _, path := range []string{
		kedaPath,
		"/api/v2/flux/clusters/eu-prod-01/platform-components",
		"/api/v1/flux/clusters/eu-prod-01.k8s.example.com/platform-components",
		"/api/v1/flux/clusters/%65u-prod-01/platform%2Dcomponents",
		kedaPath + "?whatever=1",
	} {
		reply := h.get(path)
		var got inputs
		reply.wantOK(t, &got)
		if len(got.Inputs) != 2 || got.Inputs[0].ID != "cert-manager" || got.Inputs[1].Cluster.Name != "eu-prod-01" {
			t.Errorf("%s = %s", path, reply.body)
		}
		if got := reply.header.Get("Tributary-Revision"); got != "main@sha1:1" {
			t.Errorf("%s: Tributary-Revision = %q", path, got)
		}
	}
}

func TestPollRefusesOtherPaths(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	for _, path := range []string{
		kedaPath + "/",
		"/api/v1/flux/clusters/eu-prod-01/",
		"/api/v1/flux/clusters/eu-prod-01",
		"/api/v1/flux/clusters//platform-components",
		"/api/v1/flux/clusters/",
		"/api/v1/flux//clusters/eu-prod-01/platform-components",
		"/api/v1/flux/clusters/eu-prod-01%2Fplatform-components",
		"/api/v1/flux/clusters/eu-prod-01/x%2Fplatform-components",
		"/api/v1/flux/clusters/x/../eu-prod-01/platform-components",
		"/api/v1/flux/clusters/eu-prod-01/%2e%2e",
		"/api/v3/flux/clusters/eu-prod-01/platform-components",
	} {
		h.get(path).problem(t, http.StatusNotFound, "not-found")
	}
}

func TestPollRefusesOtherMethods(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
		reply := h.do(method, kedaPath)
		reply.problem(t, http.StatusMethodNotAllowed, "method-not-allowed")
		if allow := reply.header.Get("Allow"); allow != "GET, HEAD" {
			t.Errorf("%s: Allow = %q, want GET, HEAD", method, allow)
		}
	}
}

func TestHeadIsGetWithoutTheBody(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	for _, path := range []string{kedaPath, "/api/v1/clusters", "/healthz", "/openapi.yaml", "/"} {
		get, head := h.get(path, "Accept-Encoding", "identity"), h.do("HEAD", path, "Accept-Encoding", "identity")
		get.header.Del("Date")
		head.header.Del("Date")
		get.header.Del("X-Request-Id")
		head.header.Del("X-Request-Id")
		if len(head.body) > 0 || head.status != get.status || len(get.body) == 0 {
			t.Errorf("HEAD %s = %d with %d bytes, GET = %d with %d bytes", path, head.status, len(head.body), get.status, len(get.body))
		}
		if g, w := asJSON(head.header), asJSON(get.header); g != w {
			t.Errorf("HEAD %s: %s, want %s", path, g, w)
		}
	}
}

func TestFormsFollowAcceptEncoding(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	plain := h.get(kedaPath, "Accept-Encoding", "identity")
	packed := h.get(kedaPath, "Accept-Encoding", "gzip")
	if !bytes.Equal(unzip(packed.body), plain.body) || bytes.Equal(packed.body, plain.body) {
		t.Fatalf("unzipped = %q, want %q", unzip(packed.body), plain.body)
	}
	if plain.header.Get("ETag") == packed.header.Get("ETag") {
		t.Error("two forms have one strong ETag")
	}
	for accept, want := range map[string]string{
		"gzip":                          "gzip",
		"GZip":                          "gzip",
		"x-gzip":                        "gzip",
		"gzip, deflate, br, zstd":       "gzip",
		"br;q=1.0, gzip;q=0.8, *;q=0.1": "gzip",
		"*":                             "gzip",
		"gzip ; q=0.5":                  "gzip",
		"identity;q=0, *;q=0.5":         "gzip",
		"identity;q=0.5, gzip;q=0.5":    "gzip",
		"deflate, gzip;Q=1":             "gzip",
		"identity":                      "",
		"identity, gzip;q=0.5":          "",
		"gzip;q=0":                      "",
		"gzip;q=0.000":                  "",
		"gzip;q=0, *":                   "",
		"*;q=0":                         "",
		"br":                            "",
		"gzipped":                       "",
		"gzip;q=":                       "",
		"gzip;q=NaN":                    "",
		"gzip;q=-1":                     "",
		"gzip;q=1e9":                    "",
		"gzip;level=9":                  "",
		",,;;,=":                        "",
		"\"gzip\"":                      "",
		strings.Repeat("a,", 5000):      "",
	} {
		reply := h.get(kedaPath, "Accept-Encoding", accept)
		if got := reply.header.Get("Content-Encoding"); reply.status != 200 || got != want {
			t.Errorf("Accept-Encoding %.40q: %d %q, want 200 %q", accept, reply.status, got, want)
		}
	}
	two := h.get(kedaPath, "Accept-Encoding", "br", "Accept-Encoding", "gzip")
	if got := two.header.Get("Content-Encoding"); got != "gzip" {
		t.Errorf("two Accept-Encoding lines: %q, want gzip", got)
	}
}

func TestIfNoneMatchSavesTheBody(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	for _, path := range []string{
		kedaPath, "/api/v1/flux/clusters", "/api/v2/flux/clusters?selector=region%3Deu",
		"/api/v1/clusters", "/api/v1/clusters/eu-prod-01", "/api/v1/clusters/eu-prod-01/objects",
		"/api/v1/clusters/eu-prod-01/objects/platformcomponent/keda", "/api/v1/releases/" + h.liveID(), "/openapi.yaml",
	} {
		plain := h.get(path, "Accept-Encoding", "identity").header.Get("ETag")
		packed := h.get(path, "Accept-Encoding", "gzip").header.Get("ETag")
		for given, want := range map[string]string{
			plain:                              plain,
			packed:                             packed,
			"W/" + plain:                       plain,
			`"a,b", W/"c" ,` + plain:           plain,
			`"x",,` + packed + `, "y"`:         packed,
			"*":                                packed,
			`"other"`:                          "",
			strings.Trim(plain, `"`):           "",
			strings.TrimSuffix(plain, `"`):     "",
			`w/` + plain:                       "",
			`"` + plain[1:len(plain)-1] + `x"`: "",
			`,`:                                "",
		} {
			reply := h.get(path, "Accept-Encoding", "gzip", "If-None-Match", given)
			switch {
			case want == "" && reply.status != http.StatusOK:
				t.Errorf("%s If-None-Match %s = %d, want 200", path, given, reply.status)
			case want != "" && (reply.status != http.StatusNotModified || len(reply.body) > 0 || reply.header.Get("ETag") != want):
				t.Errorf("%s If-None-Match %s = %d, ETag %s, want 304, %s", path, given, reply.status, reply.header.Get("ETag"), want)
			}
		}
		if got := h.get(path, "If-None-Match", `"a"`, "If-None-Match", plain).status; got != http.StatusNotModified {
			t.Errorf("%s with two If-None-Match lines = %d, want 304", path, got)
		}
	}
	before := h.get(kedaPath).header.Get("ETag")
	h.release("main@sha1:2", acme("main@sha1:2"))
	if got := h.get(kedaPath, "If-None-Match", before); got.status != http.StatusOK {
		t.Errorf("with the ETag of the release before = %d, want 200", got.status)
	}
}

func TestClusterInputs(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	for path, want := range map[string]string{
		"/api/v1/flux/clusters":                                                 "eu-dev-01 eu-prod-01 us-prod-01",
		"/api/v1/flux/clusters?selector=":                                       "eu-dev-01 eu-prod-01 us-prod-01",
		"/api/v1/flux/clusters?selector=environment%3Dprod":                     "eu-prod-01 us-prod-01",
		"/api/v2/flux/clusters?selector=environment+in+(prod,dev),region!%3Dus": "eu-dev-01 eu-prod-01",
	} {
		var got inputs
		h.get(path).wantOK(t, &got)
		var names []string
		for _, in := range got.Inputs {
			names = append(names, in.ID)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s = %v, want %s", path, names, want)
		}
	}
	for path, status := range map[string]int{
		"/api/v1/flux/clusters?selector=environment%3Dnone": http.StatusNotFound,
		"/api/v1/flux/clusters?selector=a%20b":              http.StatusBadRequest,
		"/api/v1/flux/clusters?selecter=environment%3Dprod": http.StatusBadRequest,
		"/api/v1/flux/clusters?selector=a&selector=b":       http.StatusBadRequest,
		"/api/v1/flux/clusters?selector=%zz":                http.StatusBadRequest,
	} {
		if got := h.get(path); got.status != status {
			t.Errorf("%s = %d, want %d", path, got.status, status)
		}
	}
}

func TestPollsAreCountedAndNotLogged(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.get(kedaPath, bearer(clusterToken)...) // 503
	h.release("main@sha1:1", acme("main@sha1:1"))
	reply := h.get(kedaPath, bearer(clusterToken)...)
	h.get(kedaPath, append(bearer(clusterToken), "If-None-Match", reply.header.Get("ETag"))...)
	h.get("/api/v1/flux/clusters/us-prod-01/platform-components", bearer(clusterToken)...)
	h.get(kedaPath)
	for _, made := range []string{"a", "b", "c", "d"} {
		h.get("/api/v1/flux/clusters/eu-prod-01/"+made, bearer(clusterToken)...)
		h.get("/api/v1/flux/clusters/"+made+"/platform-components", bearer(viewerToken)...)
	}
	for line, want := range map[string]string{
		`tributary_polls_total{set="platform-components",status="200"}`: "1",
		`tributary_polls_total{set="platform-components",status="304"}`: "1",
		`tributary_polls_total{set="platform-components",status="403"}`: "1",
		`tributary_polls_total{set="platform-components",status="404"}`: "4",
		`tributary_polls_total{set="",status="404"}`:                    "4",
		`tributary_polls_total{set="",status="401"}`:                    "1",
		`tributary_polls_total{set="",status="503"}`:                    "1",
		`tributary_polls_total{set="a",status="404"}`:                   "",
	} {
		if got := h.metric(line); got != want {
			t.Errorf("%s = %q, want %q", line, got, want)
		}
	}
	if log := h.logs.String(); strings.Contains(log, "/flux/") {
		t.Errorf("a poll is in the log:\n%s", log)
	}
}

func asJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}
