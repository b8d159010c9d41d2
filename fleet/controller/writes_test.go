package controller_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// writes are one of each kind, for a fleet that has the delta dev.
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

const dev = `{name: dev, selector: {matchLabels: {environment: dev}}, edits: [{kind: App, name: web, patch: {spec: {tag: v2}}}]}`

func TestDryRunChangesNothingAndAnswersWhatWould(t *testing.T) {
	t.Parallel()
	start := startAcme(t)
	start.apply(dev)
	start.stop()
	for name := range writes(start) {
		t.Run(name, func(t *testing.T) {
			r := startAcme(t)
			r.apply(dev)
			before := r.everything()
			dry := ada
			dry.DryRun = true
			would, err := writes(r)[name](dry)
			if err != nil {
				t.Fatal(err)
			}
			if r.everything() != before {
				t.Error("a dry run changes something")
			}
			if !would.DryRun || would.Generation != 2 || len(would.Changes) == 0 {
				t.Errorf("a dry run answers %+v, want changes at generation 2", would)
			}
			did, err := writes(r)[name](ada)
			if err != nil {
				t.Fatal(err)
			}
			if did.DryRun || did.Generation != 3 || r.view().Generation() != 3 {
				t.Errorf("the write answers %+v, want generation 3", did)
			}
			would.DryRun, would.Generation = false, 3
			if got, want := text(t, would), text(t, did); got != want {
				t.Errorf("the dry run answers\n%s\nand the write\n%s", got, want)
			}
		})
	}
}

func TestWriteOfAnotherVersionIsStale(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.apply(dev)
	object := func(kindAndName string) string {
		o, err := r.view().Object(r.member("ann"), objectNamed(kindAndName))
		if err != nil {
			t.Fatal(err)
		}
		return controller.Version(json.RawMessage(o.JSON))
	}
	delta := controller.Version(r.document(dev))
	versions := map[string]string{
		"PatchObject": object("App/web"), "PutObject": "", "DeleteObject": object("App/db"), "PutDelta": delta, "DeleteDelta": delta,
	}
	for name, write := range writes(r) {
		version, ok := versions[name]
		if !ok {
			continue // It is about more than one thing.
		}
		w, other := ada, "0123"
		w.IfVersion = &other
		r.refused(fleet.ErrStale, func() (*fleet.Result, error) { return write(w) })
		w.IfVersion, w.DryRun = &version, true
		if _, err := write(w); err != nil {
			t.Errorf("%s at the version that there is = %v", name, err)
		}
	}
}

func TestWriteThatChangesNothingTakesNoGeneration(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.apply(dev)
	r.patch("ann", "App/web", `{"spec": {"replicas": 2}}`)
	before := r.everything()
	for _, result := range []*fleet.Result{
		r.apply(dev),
		r.patch("ann", "App/web", `{"spec": {"replicas": 2}}`),
		r.patch("ann", "App/web", `{}`),
	} {
		if result.Generation != 3 || len(result.Changes) != 0 {
			t.Errorf("a write of what is there answers %+v, want generation 3 and no changes", result)
		}
	}
	if result, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: 3}); err != nil || result.Generation != 3 {
		t.Errorf("Rollback to now = %+v, %v, want generation 3", result, err)
	}
	if r.everything() != before {
		t.Error("writes of what is there change something")
	}
}

func TestReasonIsThatOfTheDeltaWhereTheWriteHasNone(t *testing.T) {
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

func text(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
