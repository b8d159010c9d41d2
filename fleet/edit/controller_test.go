package edit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
)

// FuzzEdits is FuzzPatches with a cluster that a controller has, and the renderer.
func FuzzEdits(f *testing.F) {
	addSeeds(f)
	s := startServed(f)
	f.Fuzz(func(t *testing.T, base, text string, data []byte) {
		for object := range objects {
			c := &served{s.Controller, s.repo, t}
			if !c.begin(object, base) {
				return
			}
			p := &patching{patched: c, t: t, object: object, base: decode(t, []byte(c.shown(object)))}
			p.run(text, data)
		}
	})
}

// oneRevision is a source of one revision.
type oneRevision struct{ *fleet.Snapshot }

func (oneRevision) String() string                      { return "test" }
func (oneRevision) Watch(context.Context, func()) error { return nil }
func (s oneRevision) Fetch(context.Context, string) (*fleet.Snapshot, error) {
	return s.Snapshot, nil
}

// served is cluster ann of a fleet that a controller has.
type served struct {
	*controller.Controller
	repo fleet.Repo
	t    testing.TB
}

func startServed(f *testing.F) *served {
	tree := fstest.MapFS{
		"fleet.yaml": {Data: []byte(`apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs:
  - {name: apps, kind: App, fields: {manifest: .}}
  - {name: deployments, kind: Deployment, fields: {manifest: .}}
  placement: [{selector: {}, overlay: base}]
`)},
		"base/kustomization.yaml": {Data: []byte("resources: [web.yaml, front.yaml]\n")},
		"base/web.yaml":           {Data: []byte(web)},
		"base/front.yaml":         {Data: []byte(front)},
		"clusters/ann.yaml":       {Data: []byte("apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: ann}\n")},
	}
	snapshot := &fleet.Snapshot{Revision: "main@1", Tree: tree}
	c := controller.New(controller.Config{Source: oneRevision{snapshot}, Renderer: render.Renderer{}, Interval: time.Hour})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	f.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.Error(err)
		}
	})
	for changed := c.Changed(); ; changed = c.Changed() {
		if _, err := c.View(); err == nil {
			break
		}
		<-changed
	}
	repo, err := render.Renderer{}.Compile(f.Context(), tree)
	if err != nil {
		f.Fatal(err)
	}
	return &served{c, repo, f}
}

// begin deletes earlier deltas and merges a spec into an object. It reports whether the spec is valid.
func (c *served) begin(object, spec string) bool {
	for _, id := range []string{fleet.OwnID("ann"), fleet.DeltaID("base")} {
		if _, err := c.DeleteDelta(c.t.Context(), controller.WriteOptions{}, id); err != nil && !errors.Is(err, fleet.ErrNotFound) {
			c.t.Fatal(err)
		}
	}
	o := named(object)
	d, err := render.Renderer{}.ReadDelta(fmt.Appendf(nil, `{"name": "base", "clusters": ["ann"], "edits": [{"kind": %q, "name": %q, "patch": {"spec": %s}}]}`, o.Kind, o.Name, spec))
	if err != nil {
		return false
	}
	_, err = c.PutDelta(c.t.Context(), controller.WriteOptions{}, d)
	return err == nil
}

func (c *served) shown(object string) string {
	c.t.Helper()
	v, err := c.View()
	if err != nil {
		c.t.Fatal(err)
	}
	m, err := v.Member("ann")
	if err != nil {
		c.t.Fatal(err)
	}
	o, err := v.Object(c.t.Context(), m, named(object))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(o.JSON)
}

func (c *served) patch(object string, kind fleet.PatchType, body string) error {
	_, err := c.PatchObject(c.t.Context(), controller.WriteOptions{}, "ann", named(object), fleet.ObjectPatch{Type: kind, Body: []byte(body)})
	return err
}

func (c *served) ownDelta() *fleet.Delta {
	v, err := c.View()
	if err != nil {
		c.t.Fatal(err)
	}
	d, _ := v.Delta(fleet.OwnID("ann"))
	return d
}

func (c *served) strategicMerge(o fleet.Object, patch []byte) ([]byte, error) {
	return c.repo.StrategicMerge(o, patch)
}
