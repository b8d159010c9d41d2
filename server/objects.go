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
	"github.com/tributary-gitops/tributary/server/api"
)

func (s *Server) getObjects(w http.ResponseWriter, r *http.Request) error {
	view, member, err := s.member(r)
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	objects, err := view.Objects(member)
	if err != nil {
		return err
	}
	all := api.List[json.RawMessage]{Items: make([]json.RawMessage, len(objects))}
	for i, o := range objects {
		all.Items[i] = o.JSON
	}
	return answer(w, r, all, stampOf(view))
}

func (s *Server) getObject(w http.ResponseWriter, r *http.Request) error {
	view, member, err := s.member(r)
	if err != nil {
		return err
	}
	query, err := parameters(r, "group", "namespace")
	if err != nil {
		return err
	}
	object, err := view.Object(member, objectName(r, query))
	if err != nil {
		return err
	}
	return answer(w, r, json.RawMessage(object.JSON), stampOf(view))
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

func (s *Server) patchObject(w http.ResponseWriter, r *http.Request) error {
	write, err := writeOptions(w, r, "group", "namespace")
	if err != nil {
		return err
	}
	body, mediaType, err := document(r, api.MergePatchType, api.JSONPatchType, api.StrategicMergePatchType)
	if err != nil {
		return err
	}
	patch := fleet.ObjectPatch{Type: api.PatchTypes[mediaType], Body: body}
	name := objectName(r, r.URL.Query())
	if write.IfVersion, err = s.objectVersion(r, name, nil); err != nil {
		return err
	}
	result, err := s.fleet.PatchObject(r.Context(), write, mux.Vars(r)["cluster"], name, patch)
	return written(w, result, err)
}

func (s *Server) putObject(w http.ResponseWriter, r *http.Request) error {
	write, err := writeOptions(w, r)
	if err != nil {
		return err
	}
	body, _, err := document(r, documentTypes...)
	if err != nil {
		return err
	}
	name := objectName(r, nil)
	if write.IfVersion, err = s.objectVersion(r, name, body); err != nil {
		return err
	}
	result, err := s.fleet.PutObject(r.Context(), write, mux.Vars(r)["cluster"], name, body)
	return written(w, result, err)
}

func (s *Server) deleteObject(w http.ResponseWriter, r *http.Request) error {
	write, err := writeOptions(w, r, "group", "namespace")
	if err != nil {
		return err
	}
	name := objectName(r, r.URL.Query())
	if write.IfVersion, err = s.objectVersion(r, name, nil); err != nil {
		return err
	}
	result, err := s.fleet.DeleteObject(r.Context(), write, mux.Vars(r)["cluster"], name)
	return written(w, result, err)
}

// objectVersion returns the version that a write of an object requires. Document is what a PUT
// replaces the object by, else nil: the path of a PUT says neither group nor namespace.
func (s *Server) objectVersion(r *http.Request, name fleet.ObjectName, document []byte) (*string, error) {
	if !hasPrecondition(r.Header) {
		return nil, nil
	}
	if text, err := yaml.YAMLToJSON(document); document != nil && err == nil { // what is wrong with it is found when it is written
		o := fleet.ObjectOf(text)
		group := o.Group()
		name.Group, name.Namespace = &group, &o.Namespace
	}
	view, member, err := s.member(r)
	if err != nil {
		return nil, err
	}
	object, err := view.Object(member, name)
	switch {
	case errors.Is(err, fleet.ErrNotFound):
		return requiredVersion(r.Header, nil, "")
	case err != nil:
		return nil, err
	}
	return requiredVersion(r.Header, json.RawMessage(object.JSON), controller.Version(json.RawMessage(object.JSON)))
}
