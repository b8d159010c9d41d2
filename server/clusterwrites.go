package server

import (
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

func (s *Server) postCluster(w http.ResponseWriter, r *http.Request) error {
	write, err := writing(w, r)
	if err != nil {
		return err
	}
	if write.Expect != nil {
		return fmt.Errorf("%w: If-Match, If-None-Match: a cluster that there is is a conflict anyway", api.ErrBadRequest)
	}
	text, _, err := document(r, deltaDocument...)
	if err != nil {
		return err
	}
	name, result, err := s.fleet.Declare(r.Context(), write, text)
	if err != nil {
		return err
	}
	if write.DryRun {
		return s.written(w, result)
	}
	return s.created(w, "/api/v1/clusters/"+name, result, result.Generation)
}

func (s *Server) patchCluster(w http.ResponseWriter, r *http.Request) error {
	write, err := writing(w, r)
	if err != nil {
		return err
	}
	text, _, err := document(r, "application/merge-patch+json")
	if err != nil {
		return err
	}
	write.Expect = s.asAnswered(r, write.Expect)
	result, err := s.fleet.Redeclare(r.Context(), write, mux.Vars(r)["cluster"], text)
	if err != nil {
		return err
	}
	return s.written(w, result)
}

func (s *Server) deleteCluster(w http.ResponseWriter, r *http.Request) error {
	write, err := writing(w, r, "purge")
	if err != nil {
		return err
	}
	end := s.fleet.Decommission
	switch query := r.URL.Query(); {
	case query.Get("purge") == "true":
		end = s.fleet.Purge
	case query.Has("purge") && query.Get("purge") != "false": // Also where it is empty: nobody knows what was meant.
		return fmt.Errorf("%w: purge: must be true or false", api.ErrBadRequest)
	}
	write.Expect = s.asAnswered(r, write.Expect)
	result, err := end(r.Context(), write, mux.Vars(r)["cluster"])
	if err != nil {
		return err
	}
	return s.written(w, result)
}

// asAnswered has a condition of a write given a cluster in the form in which it is
// answered, whose tag the client has.
func (s *Server) asAnswered(r *http.Request, expect func(any) error) func(any) error {
	if expect == nil {
		return nil
	}
	return func(present any) error {
		if p, ok := present.(fleet.Present); ok {
			present = s.clusterAnswers(r.Context(), p.View, p.Member)[0]
		}
		return expect(present)
	}
}
