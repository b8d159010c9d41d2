package edit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestPatchIsKeptWithAllThatItNames(t *testing.T) {
	t.Parallel()
	for kind, body := range map[fleet.PatchType]string{
		fleet.MergePatch:          `{"spec": {"tag": "v1", "env": {"c": null}}}`,
		fleet.JSONPatch:           `[{"op": "replace", "path": "/spec/tag", "value": "v1"}, {"op": "add", "path": "/spec/env/c", "value": 1}, {"op": "remove", "path": "/spec/env/c"}]`,
		fleet.StrategicMergePatch: `{"spec": {"tag": "v1", "env": {"c": null}}}`,
	} {
		c := newCluster(t, web)
		c.must(c.patch("App/web", kind, body))
		c.wantOwn(`{"cluster":"ann","edits":[{"group":"example.com","kind":"App","name":"web","patch":{"spec":{"env":{"c":null},"tag":"v1"}}}]}`)
		if c.renders != 0 {
			t.Errorf("the first patch rendered the cluster %d times, want 0", c.renders)
		}
	}
}

func TestTestsAndDirectivesAreNotKept(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		object string
		kind   fleet.PatchType
		body   string
		want   string
	}{
		{"App/web", fleet.JSONPatch, `[{"op": "test", "path": "/spec/tag", "value": "v1"}, {"op": "add", "path": "/spec/a", "value": 1}]`, `{"spec":{"a":1}}`},
		{"Deployment/front", fleet.StrategicMergePatch, `{"spec": {"template": {"$patch": "replace", "metadata": {"labels": {"a": "b"}}}}}`, `{"spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":null}}}`},
	} {
		c := newCluster(t, web, front)
		c.must(c.patch(s.object, s.kind, s.body))
		if got := string(c.own.Edits[0].Patch); got != s.want {
			t.Errorf("the edit of %s is %s, want %s", s.body, got, s.want)
		}
	}
}

func TestSecondPatchIsFoldedIntoTheFirst(t *testing.T) {
	t.Parallel()
	c := newCluster(t, web)
	c.merge("App/web", `{"spec": {"env": null, "ports": [1]}}`)
	c.merge("App/web", `{"spec": {"env": {"z": "3"}, "replicas": 4}}`)
	c.wantOwn(`{"cluster":"ann","edits":[{"group":"example.com","kind":"App","name":"web","patch":{"spec":{"env":{"a":null,"b":null,"z":"3"},"ports":[1],"replicas":4}}}]}`)
	if got, want := c.shown("App/web"), app("web", `{"env":{"z":"3"},"ports":[1],"replicas":4,"tag":"v1"}`); got != want {
		t.Errorf("object = %s, want %s", got, want)
	}
	if c.renders != 1 {
		t.Errorf("the second patch rendered the cluster %d times, want 1", c.renders)
	}
}

func TestPatchOfAClusterThatNeedsItsEditIsAppended(t *testing.T) {
	t.Parallel()
	c := newCluster(t, web)
	c.merge("App/web", `{"spec": {"env": null}}`)
	c.broken = fleet.Problems{{Message: "the cluster needs the edit"}}
	c.merge("App/web", `{"spec": {"env": {"z": "3"}}}`)
	c.merge("App/web", `{"spec": {"tag": "v2"}}`)
	c.wantOwn(`{"cluster":"ann","edits":[{"group":"example.com","kind":"App","name":"web","patch":{"spec":{"env":null}}},` +
		`{"group":"example.com","kind":"App","name":"web","patch":{"spec":{"env":{"z":"3"},"tag":"v2"}}}]}`)
	c.broken = fleet.ErrNotReady
	if err := c.patch("App/web", fleet.MergePatch, `{}`); !errors.Is(err, fleet.ErrNotReady) {
		t.Errorf("Patch = %v, want %v", err, fleet.ErrNotReady)
	}
}

func TestDeletedObjectIsAnEditUntilItIsDropped(t *testing.T) {
	t.Parallel()
	c := newCluster(t, web)
	c.merge("App/web", `{"spec": {"tag": "v2"}}`)
	c.must(c.delete("App/web"))
	c.wantOwn(`{"cluster":"ann","edits":[{"group":"example.com","kind":"App","name":"web","patch":null}]}`)
	for name, err := range map[string]error{"Delete": c.delete("App/web"), "Patch": c.patch("App/web", fleet.MergePatch, `{}`)} {
		if !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("%s of a deleted object = %v, want %v", name, err, fleet.ErrNotFound)
		}
	}
	// The fleet repo has the object, although this cluster does not.
	if err := c.put(app("web", `{}`)); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("Put of a deleted object = %v, want %v", err, fleet.ErrConflict)
	}
}

func TestPutObjectIsReplacedWithItsEditsAndDeleted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, web)
	for _, tag := range []string{"v1", "v2"} {
		document := app("new", fmt.Sprintf(`{"tag":%q}`, tag))
		replaced, err := c.target("App/new").FindReplaced(parse(t, document))
		c.must(err)
		if present := c.shown("App/new"); (replaced != nil) != (present != "") || replaced != nil && string(replaced.JSON) != present {
			t.Errorf("FindReplaced = %v, want %q", replaced, present)
		}
		c.must(c.put(document))
		c.wantOwn(`{"cluster":"ann","resources":[` + document + `]}`)
		c.merge("App/new", `{"spec": {"replicas": 3}}`)
	}
	if got, want := c.shown("App/new"), app("new", `{"replicas":3,"tag":"v2"}`); got != want {
		t.Errorf("object = %s, want %s", got, want)
	}
	c.must(c.delete("App/new"))
	c.wantOwn("")
}

func TestPutOfAnObjectFromElsewhereConflicts(t *testing.T) {
	t.Parallel()
	c := newCluster(t, web)
	if err := c.put(app("web", `{}`)); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("Put = %v, want %v", err, fleet.ErrConflict)
	}
	c.wantOwn("")
}

// stale marks parts of the cluster's own delta as skipped.
func (c *cluster) markStale(fields ...string) {
	for _, field := range fields {
		c.stale = append(c.stale, fleet.StalePart{Part: fleet.Part{Delta: fleet.OwnID("ann"), Field: field}})
	}
}

func TestChangeDropsStalePartsOfItsObject(t *testing.T) {
	t.Parallel()
	of := func(name, patch string) fleet.Edit {
		return fleet.Edit{Group: "example.com", Kind: "App", Name: name, Patch: []byte(patch)}
	}
	stale := func(t *testing.T) *cluster {
		c := newCluster(t, web, app("db", `{}`))
		c.own = &fleet.Delta{Cluster: "ann", Resources: []json.RawMessage{json.RawMessage(app("web", `{}`)), json.RawMessage(app("new", `{}`))}, Edits: []fleet.Edit{of("db", `{"a":1}`), of("web", `null`), of("web", `{"b":1}`)}}
		c.markStale("resources[0]", "edits[1]", "edits[2]", "edits[0]")
		return c
	}
	t.Run("Patch", func(t *testing.T) {
		t.Parallel()
		c := stale(t)
		c.merge("App/web", `{"spec": {"tag": "v2"}}`)
		if got, want := fmt.Sprint(texts(c.own.Edits)), `[example.com//db {"a":1} example.com//web {"spec":{"tag":"v2"}}]`; got != want {
			t.Errorf("edits = %s, want %s", got, want)
		}
	})
	t.Run("Delete", func(t *testing.T) {
		t.Parallel()
		c := stale(t)
		c.must(c.delete("App/web"))
		if got, want := fmt.Sprint(texts(c.own.Edits)), `[example.com//db {"a":1} example.com//web null]`; got != want {
			t.Errorf("edits = %s, want %s", got, want)
		}
		if len(c.own.Resources) != 1 || fleet.ObjectOf(c.own.Resources[0]).Name != "new" {
			t.Errorf("resources = %s, want the one that is applied", c.own.Resources)
		}
	})
	t.Run("Put", func(t *testing.T) {
		t.Parallel()
		c := stale(t)
		c.base = nil
		c.own.Resources = append(c.own.Resources, json.RawMessage(app("web", `{}`)))
		c.markStale("resources[2]")
		c.must(c.put(app("web", `{"tag":"v2"}`)))
		if got, want := c.shown("App/web"), app("web", `{"tag":"v2"}`); got != want || len(c.own.Resources) != 2 || len(c.own.Edits) != 1 {
			t.Errorf("object = %s of %s, want %s as one of two resources, with one edit of another object", got, fleet.EncodeJSON(c.own), want)
		}
	})
}

func TestChangeDoesNotModifyTheDeltaBefore(t *testing.T) {
	t.Parallel()
	c := newCluster(t, web)
	c.must(c.put(app("new", `{}`)))
	c.merge("App/new", `{"spec": {"a": 1}}`)
	c.merge("App/web", `{"spec": {"a": 1}}`)
	c.own.Resources, c.own.Edits = slices.Grow(c.own.Resources, 9), slices.Grow(c.own.Edits, 9) // so that append could write to them
	for name, change := range map[string]func() error{
		"Patch":                   func() error { return c.patch("App/web", fleet.MergePatch, `{"spec": {"b": 1}}`) },
		"Put":                     func() error { return c.put(app("more", `{}`)) },
		"Put of one that exists":  func() error { return c.put(app("new", `{"b":1}`)) },
		"Delete":                  func() error { return c.delete("App/web") },
		"Delete of one put there": func() error { return c.delete("App/new") },
	} {
		before := c.own
		text := string(fleet.EncodeJSON(before))
		c.must(change())
		if got := string(fleet.EncodeJSON(before)); got != text {
			t.Errorf("%s modified the delta before: %s, want %s", name, got, text)
		}
		c.own = before
	}
}

func TestEditThatWouldMatchAnotherObjectConflicts(t *testing.T) {
	t.Parallel()
	c := newCluster(t, `{"apiVersion":"v1","kind":"App","metadata":{"name":"web"}}`, web)
	target := c.target("App/web")
	if _, err := target.Find(named("App/web")); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("Find = %v, want %v", err, fleet.ErrConflict)
	}
	core, group := "", "example.com"
	o, err := target.Find(fleet.ObjectName{Kind: "app", Name: "web", Group: &core})
	c.must(err)
	if _, err := target.Delete(o); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("Delete = %v, want %v", err, fleet.ErrConflict)
	}
	if o, err = target.Find(fleet.ObjectName{Kind: "app", Name: "web", Group: &group}); err != nil {
		t.Fatal(err)
	}
	c.must(c.keep(target.Delete(o)))
	c.wantOwn(`{"cluster":"ann","edits":[{"group":"example.com","kind":"App","name":"web","patch":null}]}`)
}

func TestPatchThatChangesIdentityOrIsMalformedIsInvalid(t *testing.T) {
	t.Parallel()
	c := newCluster(t, web)
	copies := `[{"op": "add", "path": "/spec/a", "value": ["` + strings.Repeat("x", 1<<20) + `"]}` +
		strings.Repeat(`, {"op": "copy", "from": "/spec/a", "path": "/spec/a/-"}`, 5) + `]`
	for _, p := range []struct {
		kind fleet.PatchType
		body string
	}{
		{fleet.MergePatch, `{"metadata": {"name": "other"}}`},
		{fleet.MergePatch, `{"metadata": {"namespace": "other"}}`},
		{fleet.MergePatch, `{"metadata": null}`},
		{fleet.MergePatch, `{"metadata": 1}`},
		{fleet.MergePatch, `{"kind": {"a": 1}}`},
		{fleet.MergePatch, `null`},
		{fleet.MergePatch, `{"spec": {"a": "\u0000"}}`},
		{fleet.MergePatch, `{"spec": 1}{}`},
		{fleet.MergePatch, `{"spec": 1e999}`},
		{fleet.JSONPatch, `[{"op": "replace", "path": "/apiVersion", "value": "v2"}]`},
		{fleet.JSONPatch, `[{"op": "remove", "path": ""}]`},
		{fleet.JSONPatch, `[{"op": "test", "path": "/spec/tag", "value": "v2"}]`},
		{fleet.JSONPatch, `[{"op": "remove", "path": "/spec/ports/-1"}]`},
		{fleet.JSONPatch, `{}`},
		{fleet.JSONPatch, copies},
		{fleet.MergePatch, `{"spec": ` + strings.Repeat("[", 120) + strings.Repeat("]", 120) + `}`},
		{fleet.StrategicMergePatch, `[]`},
		{"text/plain", `{}`},
	} {
		if err := c.patch("App/web", p.kind, p.body); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("patch %s %.200s = %v, want %v", p.kind, p.body, err, fleet.ErrInvalid)
		}
	}
	c.wantOwn("")
	c.merge("App/web", `{"apiVersion": "example.com/v1", "metadata": {"name": "web"}, "spec": {"tag": "v2"}}`)
	c.wantOwn(`{"cluster":"ann","edits":[{"group":"example.com","kind":"App","name":"web","patch":{"spec":{"tag":"v2"}}}]}`)
}
