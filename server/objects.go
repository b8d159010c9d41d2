package server

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
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
	body, mediaType, err := document(r, string(fleet.MergePatch), string(fleet.JSONPatch), string(fleet.StrategicMergePatch))
	if err != nil {
		return err
	}
	patch := fleet.ObjectPatch{Type: fleet.PatchType(mediaType), Body: body}
	result, err := s.fleet.PatchObject(r.Context(), write, mux.Vars(r)["cluster"], objectName(r, r.URL.Query()), patch)
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
	result, err := s.fleet.PutObject(r.Context(), write, mux.Vars(r)["cluster"], objectName(r, nil), body)
	return written(w, result, err)
}

func (s *Server) deleteObject(w http.ResponseWriter, r *http.Request) error {
	write, err := writeOptions(w, r, "group", "namespace")
	if err != nil {
		return err
	}
	result, err := s.fleet.DeleteObject(r.Context(), write, mux.Vars(r)["cluster"], objectName(r, r.URL.Query()))
	return written(w, result, err)
}
