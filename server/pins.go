package server

import (
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server/api"
)

func (s *Server) getPins(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view()
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	kept := map[string]int{}
	for _, m := range view.Members() {
		if p := view.Pin(m); p != nil {
			kept[p.Name]++
		}
	}
	all := api.List[api.Pin]{Items: []api.Pin{}}
	for _, p := range view.Pins() {
		all.Items = append(all.Items, api.Pin{Pin: p, Status: api.PinStatus{Clusters: kept[p.Name]}})
	}
	return answer(w, r, all, stampOf(view))
}

func (s *Server) getPin(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view()
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	name := mux.Vars(r)["name"]
	for _, p := range view.Pins() {
		if p.Name == name {
			return answer(w, r, p, stampOf(view))
		}
	}
	return withList(fmt.Errorf("pin %q: %w", name, fleet.ErrNotFound), "/api/v1/pins")
}

// putPin accepts what a GET answers: fields that only the server sets are ignored.
func (s *Server) putPin(w http.ResponseWriter, r *http.Request) error {
	write, err := writeOptions(w, r)
	if err != nil {
		return err
	}
	var p fleet.Pin
	if err := jsonDocument(r, &p); err != nil {
		return err
	}
	name := mux.Vars(r)["name"]
	if p.Name != "" && p.Name != name {
		return fleet.Problems{{Field: "name", Message: "must be the name in the path, or be left out"}}
	}
	p.Name, p.Revision, p.Snapshot = name, "", ""
	if err := checkReason("reason", p.Reason); err != nil {
		return err
	}
	if write.IfVersion, err = s.pinVersion(r); err != nil {
		return err
	}
	result, err := s.fleet.Pin(r.Context(), write, p)
	return written(w, result, err)
}

func (s *Server) deletePin(w http.ResponseWriter, r *http.Request) error {
	write, err := writeOptions(w, r)
	if err != nil {
		return err
	}
	if write.IfVersion, err = s.pinVersion(r); err != nil {
		return err
	}
	result, err := s.fleet.Unpin(r.Context(), write, mux.Vars(r)["name"])
	return written(w, result, withList(err, "/api/v1/pins"))
}

// pinVersion returns the version that a write of the pin in the path requires.
func (s *Server) pinVersion(r *http.Request) (*string, error) {
	if !hasPrecondition(r.Header) {
		return nil, nil
	}
	view, err := s.view()
	if err != nil {
		return nil, err
	}
	if p := view.State().Pins.Get(mux.Vars(r)["name"]); p != nil {
		return requiredVersion(r.Header, p, controller.Version(p))
	}
	return requiredVersion(r.Header, nil, "")
}
