package controller_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// writes returns one write of each kind for a fleet that has devDelta.
func writes(r *rig) map[string]func(w controller.WriteOptions) (*fleet.Result, error) {
	ctx := r.t.Context()
	return map[string]func(w controller.WriteOptions) (*fleet.Result, error){
		"PatchObject": func(w controller.WriteOptions) (*fleet.Result, error) {
			return r.PatchObject(ctx, w, "ann", objectNamed("App/web"), fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(`{"spec": {"replicas": 4}}`)})
		},
		"PutObject": func(w controller.WriteOptions) (*fleet.Result, error) {
			return r.PutObject(ctx, w, "ann", objectNamed("App/new"), appJSON("new", "v1"))
		},
		"DeleteObject": func(w controller.WriteOptions) (*fleet.Result, error) {
			return r.DeleteObject(ctx, w, "ann", objectNamed("App/db"))
		},
		"PutDelta": func(w controller.WriteOptions) (*fleet.Result, error) {
			return r.PutDelta(ctx, w, r.document(`{name: dev, selector: {}, edits: [{kind: App, name: web, patch: {spec: {tag: v3}}}]}`))
		},
		"DeleteDelta": func(w controller.WriteOptions) (*fleet.Result, error) {
			return r.DeleteDelta(ctx, w, fleet.DeltaID("dev"))
		},
		"Rollback": func(w controller.WriteOptions) (*fleet.Result, error) {
			return r.Rollback(ctx, w, controller.Rollback{Generation: 1})
		},
	}
}

const devDelta = `{name: dev, selector: {matchLabels: {environment: dev}}, edits: [{kind: App, name: web, patch: {spec: {tag: v2}}}]}`

func TestDryRunChangesNothingAndReturnsTheResult(t *testing.T) {
	t.Parallel()
	start := startAcme(t)
	start.apply(devDelta)
	start.stop()
	for name := range writes(start) {
		t.Run(name, func(t *testing.T) {
			r := startAcme(t)
			r.apply(devDelta)
			before := r.everything()
			dry := ada
			dry.DryRun = true
			would, err := writes(r)[name](dry)
			if err != nil {
				t.Fatal(err)
			}
			if r.everything() != before {
				t.Error("the dry run changed something")
			}
			if !would.DryRun || would.Generation != 2 || len(would.Changes) == 0 {
				t.Errorf("dry run = %+v, want changes at generation 2", would)
			}
			did, err := writes(r)[name](ada)
			if err != nil {
				t.Fatal(err)
			}
			if did.DryRun || did.Generation != 3 || r.view().Generation() != 3 {
				t.Errorf("write = %+v, want generation 3", did)
			}
			would.DryRun, would.Generation = false, 3
			if got, want := jsonText(t, would), jsonText(t, did); got != want {
				t.Errorf("dry run =\n%s\nwant the result of the write\n%s", got, want)
			}
		})
	}
}

func TestWriteToAnotherVersionIsStale(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.apply(devDelta)
	object := func(kindAndName string) string {
		o, err := r.view().Object(t.Context(), r.member("ann"), objectNamed(kindAndName))
		if err != nil {
			t.Fatal(err)
		}
		return controller.Version(json.RawMessage(o.JSON))
	}
	delta := controller.Version(r.document(devDelta))
	versions := map[string]string{
		"PatchObject": object("App/web"), "PutObject": "", "DeleteObject": object("App/db"), "PutDelta": delta, "DeleteDelta": delta,
	}
	for name, write := range writes(r) {
		version, ok := versions[name]
		if !ok {
			continue // no single version
		}
		w, other := ada, "0123"
		w.IfVersion = &other
		r.wantRefused(fleet.ErrStale, func() (*fleet.Result, error) { return write(w) })
		w.IfVersion, w.DryRun = &version, true
		if _, err := write(w); err != nil {
			t.Errorf("%s at the current version = %v", name, err)
		}
	}
}

func TestWriteThatChangesNothingTakesNoGeneration(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.apply(devDelta)
	r.patch("ann", "App/web", `{"spec": {"replicas": 2}}`)
	before := r.everything()
	for _, result := range []*fleet.Result{
		r.apply(devDelta),
		r.patch("ann", "App/web", `{"spec": {"replicas": 2}}`),
		r.patch("ann", "App/web", `{}`),
	} {
		if result.Generation != 3 || len(result.Changes) != 0 {
			t.Errorf("write without a change = %+v, want generation 3 and no changes", result)
		}
	}
	if result, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: 3}); err != nil || result.Generation != 3 {
		t.Errorf("Rollback to the current generation = %+v, %v, want generation 3", result, err)
	}
	if r.everything() != before {
		t.Error("writes without a change changed something")
	}
}

func TestReasonDefaultsToThatOfTheDelta(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	for _, c := range []struct{ write, want string }{{"", "INC-1"}, {"asked to", "asked to"}} {
		d := r.document(`{name: ` + "x" + fmt.Sprint(len(c.write)) + `, selector: {}, reason: INC-1, edits: [{kind: App, name: web, patch: {spec: {tag: v2}}}]}`)
		if _, err := r.PutDelta(t.Context(), controller.WriteOptions{Actor: "ada", Reason: c.write}, d); err != nil {
			t.Fatal(err)
		}
		if history := r.history(); history[len(history)-1].Reason != c.want {
			t.Errorf("reason = %q, want %q", history[len(history)-1].Reason, c.want)
		}
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// JSON and YAML spell these numbers and texts in several ways.
func TestServedEditsCanBeReadAgain(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.patch("ann", "App/web", `{"spec": {"env": {"a": "yes", "b": "2020-01-01"}, "n": {"x": 1.0, "y": -0, "z": 1e3, "w": 0.1000}}}`)
	d, err := r.view().Delta(fleet.OwnID("ann"))
	if err != nil {
		t.Fatal(err)
	}
	text := deltasOf(t, []*fleet.Delta{d})
	again, err := r.ReadDelta(d.ID(), []byte(text))
	if err != nil || deltasOf(t, []*fleet.Delta{again}) != text {
		t.Errorf("ReadDelta of\n%s\n= %s, %v", text, deltasOf(t, []*fleet.Delta{again}), err)
	}
	if !strings.Contains(bodies(t, r.view()), `"n":{"w":0.1,"x":1,"y":0,"z":1000}`) {
		t.Errorf("served =\n%s\nwant canonical numbers", bodies(t, r.view()))
	}
	for _, bad := range []string{`{"spec": {"n": 1e400}}`, `{"spec": {"n": 9007199254740993.0}}`, `{"spec": {"t": "\ufeff"}}`, `{"spec": {"<<": {"a": 1}}}`} {
		before := r.everything()
		_, err := r.PatchObject(t.Context(), controller.WriteOptions{}, "ann", fleet.ObjectName{Kind: "App", Name: "web"}, fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(bad)})
		if err == nil || r.everything() != before {
			t.Errorf("patch %s: error %v, want it refused without a change", bad, err)
		}
	}
}

func TestReasonBelongsToItsWrite(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	d := r.document(`{cluster: ann, reason: INC-1, edits: [{kind: App, name: db, patch: {spec: {replicas: 3}}}]}`)
	if _, err := r.PutDelta(t.Context(), controller.WriteOptions{}, d); err != nil {
		t.Fatal(err)
	}
	patch := fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(`{"spec": {"tag": "v2"}}`)}
	if _, err := r.PatchObject(t.Context(), controller.WriteOptions{}, "ann", objectNamed("App/web"), patch); err != nil {
		t.Fatal(err)
	}
	history := r.history()
	if got := history[len(history)-2].Reason; got != "INC-1" {
		t.Errorf("reason of the delta = %q, want its own", got)
	}
	if got := history[len(history)-1].Reason; got != "" {
		t.Errorf("reason of the patch = %q, want none", got)
	}
}
