package server

import (
	"net/http"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
)

func (s *Server) getDeltas(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view()
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	all := api.List[api.Delta]{Items: []api.Delta{}}
	overdue := s.fleet.Status().Overdue
	usage := view.DeltaUsage()
	for _, d := range view.Deltas() {
		answer := api.Delta{Delta: d, Status: api.DeltaStatus{Clusters: usage[d.ID()].Clusters, Overdue: overdue[d.ID()]}}
		for _, m := range usage[d.ID()].Stale {
			for _, o := range m.Stale {
				if o.Delta == d.ID() {
					answer.Status.Orphans = append(answer.Status.Orphans, api.StalePart{Cluster: m.Cluster.Name, StalePart: o})
				}
			}
		}
		all.Items = append(all.Items, answer)
	}
	return answer(w, r, all, stampOf(view))
}

// deltaID returns the ID of the delta that the path names: a named one, or a cluster's
// own.
func deltaID(r *http.Request, v *view.View) (string, error) {
	path := mux.Vars(r)
	if name, named := path["name"]; named {
		return fleet.DeltaID(name), nil
	}
	m, err := v.Member(path["cluster"])
	if err == nil {
		return fleet.OwnID(m.Cluster.Name), nil
	}
	if _, left := v.Delta(fleet.OwnID(path["cluster"])); left == nil {
		return fleet.OwnID(path["cluster"]), nil // of a cluster that is gone
	}
	return "", withList(err, "/api/v1/clusters")
}

// clusterName returns the name of a cluster that a query or a document gives by name or
// dns. A name that is not known stands for itself: the history has clusters that are gone.
func (s *Server) clusterName(nameOrDNS string) string {
	if view, err := s.fleet.View(); err == nil {
		if m, err := view.Member(nameOrDNS); err == nil {
			return m.Cluster.Name
		}
	}
	return nameOrDNS
}

func (s *Server) getDelta(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view()
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	id, err := deltaID(r, view)
	if err != nil {
		return err
	}
	delta, err := view.Delta(id)
	if err != nil {
		return err
	}
	return answer(w, r, delta, stampOf(view))
}

func (s *Server) putDelta(w http.ResponseWriter, r *http.Request) error {
	write, id, err := s.deltaWrite(w, r)
	if err != nil {
		return err
	}
	text, _, err := document(r, documentTypes...)
	if err != nil {
		return err
	}
	delta, err := s.fleet.ReadDelta(id, text)
	if err != nil {
		return err
	}
	result, err := s.fleet.PutDelta(r.Context(), write, delta)
	return written(w, result, err)
}

func (s *Server) deleteDelta(w http.ResponseWriter, r *http.Request) error {
	write, id, err := s.deltaWrite(w, r)
	if err != nil {
		return err
	}
	result, err := s.fleet.DeleteDelta(r.Context(), write, id)
	return written(w, result, err)
}

// deltaWrite returns the options of a write, and the ID of the delta that it is for.
func (s *Server) deltaWrite(w http.ResponseWriter, r *http.Request) (controller.WriteOptions, string, error) {
	write, err := writeOptions(w, r)
	if err != nil {
		return write, "", err
	}
	view, err := s.view()
	if err != nil {
		return write, "", err
	}
	id, err := deltaID(r, view)
	if err != nil {
		return write, "", err
	}
	var present any
	delta, err := view.Delta(id)
	if err == nil {
		present = delta
	}
	write.IfVersion, err = requiredVersion(r.Header, present, controller.Version(delta))
	return write, id, err
}
