package server

import (
	"encoding/json"
	"net/http"

	"github.com/gorilla/mux"
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
	all := list[json.RawMessage]{Items: make([]json.RawMessage, len(objects))}
	for i, o := range objects {
		all.Items[i] = o.JSON
	}
	return answer(w, r, all, view.Release().Revision)
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
	// Empty is not absent: ?group= asks for the core group.
	given := func(name string) *string {
		if !query.Has(name) {
			return nil
		}
		value := query.Get(name)
		return &value
	}
	path := mux.Vars(r)
	object, err := view.Object(member, path["kind"], path["name"], given("group"), given("namespace"))
	if err != nil {
		return err
	}
	return answer(w, r, json.RawMessage(object.JSON), view.Release().Revision)
}
