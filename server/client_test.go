package server_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/server"
)

// newClient is a client of a server, with a token unless that is empty.
func newClient(t *testing.T, url, token string) *server.Client {
	t.Helper()
	c, err := server.NewClient(server.ClientConfig{URL: url, Token: token, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// exampleServer serves the example fleet, whose objects can be patched, and returns
// a client of it.
func exampleServer(t *testing.T) *server.Client {
	t.Helper()
	h := start(t, func(c *server.Config) {
		c.Fleet = fleet.New(fleet.Config{Source: example{&source{}}, Renderer: render.Renderer{}})
	})
	eventually(t, func() bool { return h.get("/readyz").status == http.StatusOK })
	return newClient(t, h.url, "")
}

var kedaObject = fleet.ObjectName{Kind: "PlatformComponent", Name: "keda"}

func mergeOf(text string) fleet.ObjectPatch {
	return fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(text)}
}

func TestClientFindsTheErrorsThatTheServerFound(t *testing.T) {
	h := start(t, withTokens(t))
	viewer := newClient(t, h.url, viewerToken)
	if _, err := viewer.Clusters(t.Context(), ""); !errors.Is(err, fleet.ErrNotReady) {
		t.Errorf("before a release: %v, want %v", err, fleet.ErrNotReady)
	}
	h.release("main@sha1:1", acme("main@sha1:1"))
	service := fleet.ObjectName{Kind: "Service", Name: "podinfo"}
	for name, c := range map[string]struct {
		ask  func() error
		want error
	}{
		"no token": {func() error { _, err := newClient(t, h.url, "").Clusters(t.Context(), ""); return err }, fleet.ErrUnauthenticated},
		"viewer writes": {func() error {
			_, err := viewer.PatchObject(t.Context(), server.WriteOptions{}, "eu-prod-01", kedaObject, mergeOf(`{}`))
			return err
		}, fleet.ErrForbidden},
		"no cluster":  {func() error { _, err := viewer.Cluster(t.Context(), "nobody"); return err }, fleet.ErrNotFound},
		"two objects": {func() error { _, _, err := viewer.Object(t.Context(), "eu-prod-01", service); return err }, fleet.ErrConflict},
	} {
		err := c.ask()
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		var refusal *server.Refusal
		if !errors.As(err, &refusal) || refusal.Status < 400 || err.Error() != refusal.Detail {
			t.Errorf("%s: %#v, want a refusal that says what the server did", name, err)
		}
	}
	web := "web"
	service.Namespace = &web
	if _, tag, err := viewer.Object(t.Context(), "eu-prod-01", service); err != nil || tag == "" {
		t.Errorf("the object in a namespace: %v, tag %q", err, tag)
	}
}

// Every problem that a server may answer with is one error on either side.
func TestClientReadsTheTableOfProblemsBackwards(t *testing.T) {
	for _, want := range []error{
		fleet.ErrStoreFull, fleet.ErrStore, fleet.ErrNotReady, fleet.ErrUnauthenticated, fleet.ErrForbidden,
		fleet.ErrNotFound, fleet.ErrStale, fleet.ErrConflict, fleet.ErrTooLarge, fleet.ErrInvalid,
	} {
		p := server.NewProblem(fmt.Errorf("cluster %q: %w", "edge-1", want))
		if got := error(&server.Refusal{Problem: p}); !errors.Is(got, want) || got.Error() != fmt.Sprintf("cluster %q: %s", "edge-1", want) {
			t.Errorf("%v comes back as %v", want, got)
		}
	}
	for _, of := range server.ProblemTypes() {
		known := errors.Unwrap(&server.Refusal{Problem: server.Problem{Type: of}}) != nil
		if internal := of == server.ProblemType+"internal"; known == internal {
			t.Errorf("%s is an error that is known: %v", of, known)
		}
	}
}

func TestClientFollowsPages(t *testing.T) {
	many := repo{InputSets: []string{"s"}}
	for i := range 1203 {
		many.Members = append(many.Members, member{
			Cluster: &fleet.Cluster{Name: fmt.Sprintf("c-%04d", i), Labels: map[string]string{"parity": fmt.Sprint(i % 2)}},
			Inputs:  map[string][]map[string]any{"s": {{"id": "x"}}},
		})
	}
	h := start(t)
	h.release("main@sha1:1", many)
	c := newClient(t, h.url+"/", "")
	for selector, want := range map[string]int{"": 1203, "parity=1": 601, "parity=2": 0} {
		clusters, err := c.Clusters(t.Context(), selector)
		if err != nil || len(clusters) != want {
			t.Errorf("Clusters(%q) = %d, %v, want %d", selector, len(clusters), err, want)
		}
	}
}

func TestClientGivesTheTokenToNobodyElse(t *testing.T) {
	for url, token := range map[string]string{
		"http://tributary.example.com":       "secret",
		"http://localhost.example.com:8080":  "secret",
		"https://user:secret@tributary.test": "",
		"ftp://127.0.0.1":                    "",
		"https://":                           "",
		"https://a.test?token=secret":        "",
		"http://127.0.0.1:80":                "two words",
	} {
		_, err := server.NewClient(server.ClientConfig{URL: url, Token: token})
		if err == nil || strings.Contains(err.Error(), "user:") {
			t.Errorf("NewClient(%s, %q) = %v, want an error without credentials", url, token, err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "https://tributary.example.com/prefix"} {
		if _, err := server.NewClient(server.ClientConfig{URL: url, Token: "secret"}); err != nil {
			t.Errorf("NewClient(%s) = %v", url, err)
		}
	}
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(other.Close)
	here := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(here.Close)
	_, err := newClient(t, here.URL, "secret").Releases(t.Context(), fleet.ReleaseQuery{})
	if err == nil || asked || !strings.Contains(err.Error(), other.URL) {
		t.Errorf("a redirect: %v, followed: %v; want an error that says where to", err, asked)
	}
}

func TestClientTellsWhatIsNoTributary(t *testing.T) {
	for name, c := range map[string]struct {
		status      int
		kind, body  string
		wantInError string
	}{
		"a proxy":       {502, "text/html", "<html>", "502 Bad Gateway"},
		"other JSON":    {404, "application/json", "{}", "404 Not Found"},
		"other problem": {404, "application/problem+json", `{"type": "about:blank", "title": "x"}`, "404 Not Found"},
		"a web page":    {200, "text/html", "<html>", "text/html"},
		"broken JSON":   {200, "application/json", "{", "cannot be read"},
	} {
		there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		_, err := newClient(t, there.URL, "").Cluster(t.Context(), "x")
		there.Close()
		if err == nil || !strings.Contains(err.Error(), c.wantInError) || !strings.Contains(err.Error(), there.URL) {
			t.Errorf("%s: %v, want %q and %s in it", name, err, c.wantInError, there.URL)
		}
	}
}

func TestClientSaysWhenItIsNotKnownWhetherAWriteWasKept(t *testing.T) {
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(cut.Close)
	const hint = "the history tells"
	c := newClient(t, cut.URL, "")
	if _, err := c.DeleteDelta(t.Context(), server.WriteOptions{}, "delta/x"); err == nil || !strings.Contains(err.Error(), hint) {
		t.Errorf("a write that was cut: %v, want %q", err, hint)
	}
	if _, err := c.Releases(t.Context(), fleet.ReleaseQuery{}); err == nil || strings.Contains(err.Error(), hint) {
		t.Errorf("a read that was cut: %v", err)
	}
	nobody := newClient(t, "http://127.0.0.1:1", "")
	if _, err := nobody.DeleteDelta(t.Context(), server.WriteOptions{}, "delta/x"); err == nil || strings.Contains(err.Error(), hint) {
		t.Errorf("a write that never left: %v", err)
	}
}

func TestClientTrustsAndShowsCertificates(t *testing.T) {
	there := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"source": {"name": %q}}`, r.Header.Get("Authorization"))
	}))
	t.Cleanup(there.Close)
	ca := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: there.Certificate().Raw})))
	cfg := server.ClientConfig{URL: there.URL, Token: "secret"}
	ask := func() (string, error) {
		c, err := server.NewClient(cfg)
		if err != nil {
			return "", err
		}
		releases, err := c.Releases(t.Context(), fleet.ReleaseQuery{})
		return releases.Source.Name, err
	}
	if _, err := ask(); err == nil {
		t.Error("a certificate of nobody known is trusted")
	}
	cfg.CAFile = ca
	if got, err := ask(); err != nil || got != "Bearer secret" {
		t.Errorf("with the certificate as CA: %q, %v", got, err)
	}
	for _, wrong := range []func(){
		func() { cfg.CAFile = writeFile(t, "empty.pem", "") },
		func() { cfg.CAFile, cfg.CertFile = ca, ca },
		func() { cfg.CertFile, cfg.KeyFile = ca, ca },
		func() { cfg.CertFile, cfg.KeyFile, cfg.CAFile = "", "", "/does/not/exist" },
	} {
		wrong()
		if _, err := ask(); err == nil {
			t.Errorf("%+v is no error", cfg)
		}
	}
}

func TestClientWritesWhatIsReadAgain(t *testing.T) {
	c := exampleServer(t)
	before, tag, err := c.Object(t.Context(), "eu-prod-01", kedaObject)
	if err != nil {
		t.Fatal(err)
	}
	patch := mergeOf(`{"spec": {"values": {"operator": {"replicaCount": 7}}}}`)
	dry, err := c.PatchObject(t.Context(), server.WriteOptions{DryRun: true, IfMatch: tag}, "eu-prod-01", kedaObject, patch)
	if err != nil || !dry.DryRun || len(dry.Changes) != 1 {
		t.Fatalf("dry run = %+v, %v, want one change", dry, err)
	}
	if again, _, err := c.Object(t.Context(), "eu-prod-01", kedaObject); err != nil || string(again) != string(before) {
		t.Errorf("after the dry run: %s, %v, want %s", again, err, before)
	}
	result, err := c.PatchObject(t.Context(), server.WriteOptions{IfMatch: tag, Reason: "wegen Größe"}, "eu-prod-01", kedaObject, patch)
	if err != nil || string(result.Changes[0].After) != string(dry.Changes[0].After) {
		t.Fatalf("PatchObject = %+v, %v, want what the dry run said", result, err)
	}
	if _, err := c.PatchObject(t.Context(), server.WriteOptions{IfMatch: tag}, "eu-prod-01", kedaObject, patch); !errors.Is(err, fleet.ErrStale) {
		t.Errorf("with the tag from before: %v, want %v", err, fleet.ErrStale)
	}
	own, tag, err := c.Delta(t.Context(), fleet.OwnID("eu-prod-01"))
	if err != nil || len(own.Edits) != 1 {
		t.Fatalf("Delta = %+v, %v, want one edit", own, err)
	}
	if _, err := c.PutDelta(t.Context(), server.WriteOptions{IfNoneMatch: "*"}, own.ID(), []byte(`{"reason": "x"}`)); !errors.Is(err, fleet.ErrStale) {
		t.Errorf("a delta that must not be there: %v, want %v", err, fleet.ErrStale)
	}
	_, err = c.PutDelta(t.Context(), server.WriteOptions{}, "delta/bad", []byte("selector: {}\nnope: 1\nneither: 2\n"))
	var refusal *server.Refusal
	if !errors.As(err, &refusal) || !errors.Is(err, fleet.ErrInvalid) || len(refusal.Errors) != 2 || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("a bad document: %v, want two problems, one a line", err)
	}
	if _, err := c.DeleteDelta(t.Context(), server.WriteOptions{IfMatch: tag}, own.ID()); err != nil {
		t.Error(err)
	}
	if all, err := c.Deltas(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("Deltas = %v, %v, want none", all, err)
	}
}
