package server_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

// newClient returns a client of a server, with a token unless that is empty.
func newClient(t *testing.T, url, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: url, Token: token, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	kedaObject = fleet.ObjectName{Kind: "PlatformComponent", Name: "keda"}
	webApp     = fleet.ObjectName{Kind: "App", Name: "web"}
)

func mergeOf(text string) fleet.ObjectPatch {
	return fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(text)}
}

func TestClientReturnsTheServersErrors(t *testing.T) {
	t.Parallel()
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
			_, err := viewer.PatchObject(t.Context(), client.WriteOptions{}, "eu-prod-01", kedaObject, mergeOf(`{}`))
			return err
		}, fleet.ErrForbidden},
		"no cluster":  {func() error { _, err := viewer.Cluster(t.Context(), "nobody"); return err }, fleet.ErrNotFound},
		"two objects": {func() error { _, _, err := viewer.Object(t.Context(), "eu-prod-01", service); return err }, fleet.ErrConflict},
	} {
		err := c.ask()
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		var refusal *client.Refusal
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

func TestClientFollowsPages(t *testing.T) {
	t.Parallel()
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

func TestClientReadsBackWhatItWrites(t *testing.T) {
	t.Parallel()
	c := newClient(t, startLive(t).url, "")
	before, tag, err := c.Object(t.Context(), "one", webApp)
	if err != nil {
		t.Fatal(err)
	}
	patch := mergeOf(`{"spec": {"replicas": 7}}`)
	dry, err := c.PatchObject(t.Context(), client.WriteOptions{DryRun: true, IfMatch: tag}, "one", webApp, patch)
	if err != nil || !dry.DryRun || len(dry.Changes) != 1 {
		t.Fatalf("dry run = %+v, %v, want one change", dry, err)
	}
	if again, _, err := c.Object(t.Context(), "one", webApp); err != nil || string(again) != string(before) {
		t.Errorf("after the dry run: %s, %v, want %s", again, err, before)
	}
	result, err := c.PatchObject(t.Context(), client.WriteOptions{IfMatch: tag, Reason: "wegen Größe"}, "one", webApp, patch)
	if err != nil || string(result.Changes[0].After) != string(dry.Changes[0].After) {
		t.Fatalf("PatchObject = %+v, %v, want what the dry run said", result, err)
	}
	if _, err := c.PatchObject(t.Context(), client.WriteOptions{IfMatch: tag}, "one", webApp, patch); !errors.Is(err, fleet.ErrStale) {
		t.Errorf("with the tag from before: %v, want %v", err, fleet.ErrStale)
	}
	own, tag, err := c.Delta(t.Context(), fleet.OwnID("one"))
	if err != nil || len(own.Edits) != 1 {
		t.Fatalf("Delta = %+v, %v, want one edit", own, err)
	}
	if _, err := c.PutDelta(t.Context(), client.WriteOptions{IfNoneMatch: "*"}, own.ID(), []byte(`{"reason": "x"}`)); !errors.Is(err, fleet.ErrStale) {
		t.Errorf("a delta that must not be there: %v, want %v", err, fleet.ErrStale)
	}
	_, err = c.PutDelta(t.Context(), client.WriteOptions{}, "delta/bad", []byte("selector: {}\nnope: 1\nneither: 2\n"))
	var refusal *client.Refusal
	if !errors.As(err, &refusal) || !errors.Is(err, fleet.ErrInvalid) || len(refusal.Errors) != 2 || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("a bad document: %v, want two problems, one a line", err)
	}
	if _, err := c.DeleteDelta(t.Context(), client.WriteOptions{IfMatch: tag}, own.ID()); err != nil {
		t.Error(err)
	}
	if all, err := c.Deltas(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("Deltas = %v, %v, want none", all, err)
	}
}
