package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
)

func (s objectHandlers) getObjects(r *http.Request, v *view.View, _ url.Values) (any, error) {
	member, err := memberOf(r, v)
	if err != nil {
		return nil, err
	}
	objects, err := v.Objects(r.Context(), member)
	if err != nil {
		return nil, err
	}
	all := api.List[json.RawMessage]{Items: make([]json.RawMessage, len(objects))}
	for i, o := range objects {
		all.Items[i] = o.JSON
	}
	return all, nil
}

func (s objectHandlers) getObject(r *http.Request, v *view.View, query url.Values) (any, error) {
	member, err := memberOf(r, v)
	if err != nil {
		return nil, err
	}
	object, err := v.Object(r.Context(), member, objectName(r, query))
	if err != nil {
		return nil, err
	}
	return json.RawMessage(object.JSON), nil
}

// objectName returns the object that a request names.
func objectName(r *http.Request, query url.Values) fleet.ObjectName {
	given := func(name string) *string {
		if !query.Has(name) { // An empty value is not an absent one: ?group= is the core group.
			return nil
		}
		value := query.Get(name)
		return &value
	}
	path := mux.Vars(r)
	return fleet.ObjectName{Kind: path["kind"], Name: path["name"], Group: given("group"), Namespace: given("namespace")}
}

func (s objectHandlers) patchObject(r *http.Request, write controller.WriteOptions) (*fleet.Result, error) {
	body, mediaType, err := document(r, api.MergePatchType, api.JSONPatchType, api.StrategicMergePatchType)
	if err != nil {
		return nil, err
	}
	patch := fleet.ObjectPatch{Type: api.PatchTypes[mediaType], Body: body}
	name := objectName(r, r.URL.Query())
	if write.IfVersion, err = s.objectVersion(r, name, nil); err != nil {
		return nil, err
	}
	return s.fleet.PatchObject(r.Context(), write, mux.Vars(r)["cluster"], name, patch)
}

func (s objectHandlers) putObject(r *http.Request, write controller.WriteOptions) (*fleet.Result, error) {
	body, _, err := document(r, documentTypes...)
	if err != nil {
		return nil, err
	}
	name := objectName(r, nil)
	if write.IfVersion, err = s.objectVersion(r, name, body); err != nil {
		return nil, err
	}
	return s.fleet.PutObject(r.Context(), write, mux.Vars(r)["cluster"], name, body)
}

func (s objectHandlers) deleteObject(r *http.Request, write controller.WriteOptions) (*fleet.Result, error) {
	name := objectName(r, r.URL.Query())
	version, err := s.objectVersion(r, name, nil)
	if err != nil {
		return nil, err
	}
	write.IfVersion = version
	return s.fleet.DeleteObject(r.Context(), write, mux.Vars(r)["cluster"], name)
}

// objectVersion returns the version that a write of an object requires. Document is what a PUT
// replaces the object by, else nil: the path of a PUT says neither group nor namespace.
func (s objectHandlers) objectVersion(r *http.Request, name fleet.ObjectName, document []byte) (*string, error) {
	if !hasPrecondition(r.Header) {
		return nil, nil
	}
	if text, err := yaml.YAMLToJSON(document); document != nil && err == nil { // what is wrong with it is found when it is written
		o := fleet.ObjectOf(text)
		group := o.Group()
		name.Group, name.Namespace = &group, &o.Namespace
	}
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	member, err := memberOf(r, v)
	if err != nil {
		return nil, err
	}
	object, err := v.Object(r.Context(), member, name)
	switch {
	case errors.Is(err, fleet.ErrNotFound):
		return requiredVersion(r.Header, nil, "")
	case err != nil:
		return nil, err
	}
	return requiredVersion(r.Header, json.RawMessage(object.JSON), controller.Version(json.RawMessage(object.JSON)))
}
