package server

import (
	"net/http"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
)

func (s *Server) patchObject(w http.ResponseWriter, r *http.Request) error {
	write, err := writing(w, r, "group", "namespace")
	if err != nil {
		return err
	}
	body, mediaType, err := document(r, string(fleet.MergePatch), string(fleet.JSONPatch), string(fleet.StrategicMergePatch))
	if err != nil {
		return err
	}
	patch := fleet.ObjectPatch{Type: fleet.PatchType(mediaType), Body: body}
	result, err := s.fleet.PatchObject(r.Context(), write, mux.Vars(r)["cluster"], objectName(r, r.URL.Query()), patch)
	if err != nil {
		return err
	}
	return s.written(w, result)
}

func (s *Server) putObject(w http.ResponseWriter, r *http.Request) error {
	write, err := writing(w, r)
	if err != nil {
		return err
	}
	body, _, err := document(r, deltaDocument...)
	if err != nil {
		return err
	}
	result, err := s.fleet.PutObject(r.Context(), write, mux.Vars(r)["cluster"], objectName(r, nil), body)
	if err != nil {
		return err
	}
	return s.written(w, result)
}

func (s *Server) deleteObject(w http.ResponseWriter, r *http.Request) error {
	write, err := writing(w, r, "group", "namespace")
	if err != nil {
		return err
	}
	result, err := s.fleet.DeleteObject(r.Context(), write, mux.Vars(r)["cluster"], objectName(r, r.URL.Query()))
	if err != nil {
		return err
	}
	return s.written(w, result)
}
