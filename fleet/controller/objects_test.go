package controller_test

import (
	"fmt"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

const webFields = `"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2`

func TestPatchKeepsItsFieldsWhenTheBaseChanges(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	if got := len(r.patch("ann", "App/web", `{"spec": {"tag": "v1", "env": {"c": null}}}`).Changes); got != 0 {
		t.Errorf("%d inputs changed, want none yet", got)
	}
	r.release("main@2", acme("base/web.yaml", app("web", `{tag: v2, replicas: 5, env: {c: "3", d: "4"}}`)))
	r.wantInput("ann", "web", `{"env":{"d":"4"},"replicas":5,"tag":"v1"}`)
	r.wantInput("bob", "web", `{"env":{"c":"3","d":"4"},"replicas":5,"tag":"v2"}`)
	if _, err := r.DeleteDelta(t.Context(), ada, fleet.OwnID("ann")); err != nil {
		t.Fatal(err)
	}
	r.wantInput("ann", "web", `{"env":{"c":"3","d":"4"},"replicas":5,"tag":"v2"}`)
}

func TestSecondPatchIsMergedIntoTheFirst(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.patch("ann", "App/web", `{"spec": {"env": null, "ports": [1]}}`)
	r.wantInput("ann", "web", `{"ports":[1],"replicas":2,"tag":"v1"}`)
	r.patch("ann.example.com", "App/web", `{"spec": {"env": {"z": "3"}, "replicas": 4}}`)
	r.wantInput("ann", "web", `{"env":{"z":"3"},"ports":[1],"replicas":4,"tag":"v1"}`)
	want := `{"cluster":"ann","edits":[{"group":"example.com","kind":"App","name":"web","patch":{"spec":{"env":{"a":null,"b":null,"z":"3"},"ports":[1],"replicas":4}}}]}`
	if got := r.ownDelta("ann"); got != want {
		t.Errorf("own delta = %s, want %s", got, want)
	}
}

func TestDeletedObjectReturnsWhenTheDeltaIsDeleted(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.patch("ann", "App/db", `{"spec": {"tag": "v2"}}`)
	if _, err := r.DeleteObject(t.Context(), ada, "ann", objectNamed("App/db")); err != nil {
		t.Fatal(err)
	}
	r.wantInput("ann", "db", "")
	r.wantInput("bob", "db", `{"replicas":1,"tag":"v1"}`)
	for _, do := range []func() (*fleet.Result, error){
		func() (*fleet.Result, error) { return r.DeleteObject(t.Context(), ada, "ann", objectNamed("App/db")) },
		func() (*fleet.Result, error) {
			return r.PatchObject(t.Context(), ada, "ann", objectNamed("App/db"), fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(`{}`)})
		},
	} {
		r.wantRefused(fleet.ErrNotFound, do)
	}
	// Git declares it, although it is deleted for this cluster.
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) {
		return r.PutObject(t.Context(), ada, "ann", objectNamed("App/db"), appJSON("db", "v3"))
	})
	if _, err := r.DeleteDelta(t.Context(), ada, fleet.OwnID("ann")); err != nil {
		t.Fatal(err)
	}
	r.wantInput("ann", "db", `{"replicas":1,"tag":"v1"}`)
}

func TestObjectIsPutReplacedAndDeleted(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	put := func(spec string) (*fleet.Result, error) {
		return r.PutObject(t.Context(), ada, "ann", objectNamed("App/new"), fmt.Appendf(nil, `{"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "new"}, "spec": %s}`, spec))
	}
	for _, spec := range []string{`{"tag": "v1"}`, `{"tag": "v2"}`} {
		if _, err := put(spec); err != nil {
			t.Fatal(err)
		}
		r.patch("ann", "App/new", `{"spec": {"replicas": 3}}`)
	}
	r.wantInput("ann", "new", `{"replicas":3,"tag":"v2"}`)
	if _, err := put(`{"tag": "v3"}`); err != nil {
		t.Fatal(err)
	}
	r.wantInput("ann", "new", `{"tag":"v3"}`)
	r.wantRefused(fleet.ErrInvalid, func() (*fleet.Result, error) { return put(`{"tag": 3}`) })
	r.wantRefused(fleet.ErrInvalid, func() (*fleet.Result, error) {
		return r.PutObject(t.Context(), ada, "ann", objectNamed("App/other"), appJSON("new", "v1"))
	})
	r.patch("ann", "App/new", `{"spec": {"replicas": 3}}`)
	if _, err := r.DeleteObject(t.Context(), ada, "ann", objectNamed("App/new")); err != nil {
		t.Fatal(err)
	}
	r.wantInput("ann", "new", "")
	if got := r.ownDelta("ann"); got != "" {
		t.Errorf("own delta = %s, want none", got)
	}
}

func TestPutOfAnObjectOfTheBaseOrADeltaConflicts(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.apply(`{name: new, selector: {}, resources: [{apiVersion: example.com/v1, kind: App, metadata: {name: new}, spec: {tag: v1}}]}`)
	for _, name := range []string{"web", "new"} {
		r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) {
			return r.PutObject(t.Context(), ada, "ann", objectNamed("App/"+name), appJSON(name, "v2"))
		})
	}
}

func TestPatchThatChangesTheIdentityOfAnObjectIsRefused(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	for _, p := range []fleet.ObjectPatch{
		{Type: fleet.MergePatch, Body: []byte(`{"metadata": {"name": "other"}}`)},
		{Type: fleet.MergePatch, Body: []byte(`{"metadata": null}`)},
		{Type: fleet.MergePatch, Body: []byte(`{"kind": {"a": 1}}`)},
		{Type: fleet.MergePatch, Body: []byte(`null`)},
		{Type: fleet.MergePatch, Body: []byte(`{"spec": {"a": "\u0000"}}`)},
		{Type: fleet.MergePatch, Body: []byte(`{"spec": 1}{}`)},
		{Type: fleet.JSONPatch, Body: []byte(`[{"op": "replace", "path": "/apiVersion", "value": "v2"}]`)},
		{Type: fleet.JSONPatch, Body: []byte(`[{"op": "remove", "path": ""}]`)},
		{Type: fleet.JSONPatch, Body: []byte(`[{"op": "test", "path": "/spec/tag", "value": "v2"}]`)},
		{Type: fleet.StrategicMergePatch, Body: []byte(`{"$patch": "delete"}`)},
		{Type: fleet.StrategicMergePatch, Body: []byte(`[]`)},
		{Type: "text/plain", Body: []byte(`{}`)},
	} {
		r.wantRefused(fleet.ErrInvalid, func() (*fleet.Result, error) {
			return r.PatchObject(t.Context(), ada, "ann", objectNamed("App/web"), p)
		})
	}
	r.patch("ann", "App/web", `{"apiVersion": "example.com/v1", "metadata": {"name": "web"}, "spec": {"tag": "v2"}}`)
	r.wantInput("ann", "web", `{`+webFields+`,"tag":"v2"}`)
}

func TestWriteToAnUnknownClusterIsNotFound(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.wantRefused(fleet.ErrNotFound, func() (*fleet.Result, error) {
		return r.PutDelta(t.Context(), ada, r.document(`{cluster: nobody, edits: []}`))
	})
	r.wantRefused(fleet.ErrNotFound, func() (*fleet.Result, error) {
		return r.DeleteObject(t.Context(), ada, "nobody", objectNamed("App/web"))
	})
	r.wantRefused(fleet.ErrNotFound, func() (*fleet.Result, error) { return r.DeleteDelta(t.Context(), ada, fleet.OwnID("ann")) })
	result := r.apply(`{name: x, selector: {matchLabels: {environment: test}}, edits: [{kind: App, name: web, patch: {}}]}`)
	if len(result.Warnings) != 1 || len(result.Clusters) != 0 {
		t.Errorf("result of a delta for no cluster = %+v, want a warning", result)
	}
}

// appJSON returns an app as JSON.
func appJSON(name, tag string) []byte {
	return fmt.Appendf(nil, `{"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": %q}, "spec": {"tag": %q}}`, name, tag)
}

func TestObjectIsPutAsJSONOrYAML(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	for i, document := range []string{
		`{"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "new"}, "spec": {"tag": "v0"}}`,
		"{\n  \"apiVersion\": \"example.com/v1\",\n  \"kind\": \"App\",\n  \"metadata\": {\"name\": \"new\"},\n  \"spec\": {\"tag\": \"v1\"}\n}\n",
		app("new", "\n  tag: v2"),
		"# an app\n" + app("new", "{tag: v3}"),
		"\n---\n" + app("new", "{tag: v4}"),
		app("new", "\n  tag: |-\n    v5") + "# the end",
		"  apiVersion: example.com/v1\r\n  kind: App\r\n  metadata: {name: new}\r\n  spec: {tag: v6}\r\n",
	} {
		if _, err := r.PutObject(t.Context(), ada, "ann", objectNamed("App/new"), []byte(document)); err != nil {
			t.Errorf("PutObject of\n%s\n= %v", document, err)
		}
		r.wantInput("ann", "new", fmt.Sprintf(`{"tag":"v%d"}`, i))
	}
	for _, document := range []string{
		"", "null", "[]", "- a", "---\n" + app("new", "{tag: v1}") + "---\n" + app("more", "{tag: v1}"),
		`{"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "new"}}], "edits": [`,
		"apiVersion: example.com/v1\nkind: App\nmetadata: {name: new}\n- {}\n",
	} {
		r.wantRefused(fleet.ErrInvalid, func() (*fleet.Result, error) {
			return r.PutObject(t.Context(), ada, "ann", objectNamed("App/new"), []byte(document))
		})
	}
}
