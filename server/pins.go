package server

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
)

func (s pinHandlers) getPins(_ *http.Request, v *view.View, _ url.Values) (any, error) {
	kept := map[string]int{}
	for _, m := range v.Members() {
		if p := v.Pin(m); p != nil {
			kept[p.Name]++
		}
	}
	all := api.List[api.Pin]{Items: []api.Pin{}}
	for _, p := range v.Pins() {
		all.Items = append(all.Items, api.Pin{Pin: p, Status: api.PinStatus{Clusters: kept[p.Name]}})
	}
	return all, nil
}

func (s pinHandlers) getPin(r *http.Request, v *view.View, _ url.Values) (any, error) {
	name := mux.Vars(r)["name"]
	for _, p := range v.Pins() {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, withList(fmt.Errorf("pin %q: %w", name, fleet.ErrNotFound), "/api/v1/pins")
}

// putPin accepts what a GET answers: fields that only the server sets are ignored.
func (s pinHandlers) putPin(r *http.Request, write controller.WriteOptions) (*fleet.Result, error) {
	var p fleet.Pin
	if err := jsonDocument(r, &p); err != nil {
		return nil, err
	}
	name := mux.Vars(r)["name"]
	if p.Name != "" && p.Name != name {
		return nil, fleet.Problems{{Field: "name", Message: "must be the name in the path, or be left out"}}
	}
	p.Name, p.Revision, p.Snapshot = name, "", ""
	if err := checkReason("reason", p.Reason); err != nil {
		return nil, err
	}
	version, err := s.pinVersion(r)
	if err != nil {
		return nil, err
	}
	write.IfVersion = version
	return s.fleet.Pin(r.Context(), write, p)
}

func (s pinHandlers) deletePin(r *http.Request, write controller.WriteOptions) (*fleet.Result, error) {
	version, err := s.pinVersion(r)
	if err != nil {
		return nil, err
	}
	write.IfVersion = version
	result, err := s.fleet.Unpin(r.Context(), write, mux.Vars(r)["name"])
	return result, withList(err, "/api/v1/pins")
}

// pinVersion returns the version that a write of the pin in the path requires.
func (s pinHandlers) pinVersion(r *http.Request) (*string, error) {
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
