package server

import (
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// deltaDocument are the media types of a delta's document.
var deltaDocument = []string{"application/json", "application/yaml"}

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
		for _, m := range usage[d.ID()].Orphaned {
			for _, o := range m.Orphans {
				if o.Delta == d.ID() {
					answer.Status.Orphans = append(answer.Status.Orphans, api.StalePart{Cluster: m.Cluster.Name, Orphan: o})
				}
			}
		}
		all.Items = append(all.Items, answer)
	}
	return answer(w, r, all, stampOf(view))
}

// deltaID is the ID of the delta that the path names: a named one, or a
// cluster's own.
func (s *Server) deltaID(r *http.Request, v *fleet.View) (string, error) {
	path := mux.Vars(r)
	if name, named := path["name"]; named {
		return fleet.DeltaID(name), nil
	}
	m, err := v.Member(path["cluster"])
	if err == nil {
		return fleet.OwnID(m.Cluster.Name), nil
	}
	if _, left := v.Delta(fleet.OwnID(path["cluster"])); left == nil {
		return fleet.OwnID(path["cluster"]), nil // Of a cluster that has gone.
	}
	return "", fmt.Errorf("%w: GET /api/v1/clusters lists those that exist", err)
}

// ownID is the ID of the own delta of a cluster, by name or dns.
func (s *Server) ownID(cluster string) string {
	if view, err := s.fleet.View(); err == nil {
		if m, err := view.Member(cluster); err == nil {
			cluster = m.Cluster.Name
		}
	}
	return fleet.OwnID(cluster)
}

func (s *Server) getDelta(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view()
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	id, err := s.deltaID(r, view)
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
	text, _, err := document(r, deltaDocument...)
	if err != nil {
		return err
	}
	delta, err := s.fleet.ReadDelta(id, text)
	if err != nil {
		return err
	}
	result, err := s.fleet.PutDelta(r.Context(), write, delta)
	if err != nil {
		return err
	}
	return s.written(w, result)
}

func (s *Server) deleteDelta(w http.ResponseWriter, r *http.Request) error {
	write, id, err := s.deltaWrite(w, r)
	if err != nil {
		return err
	}
	result, err := s.fleet.DeleteDelta(r.Context(), write, id)
	if err != nil {
		return err
	}
	return s.written(w, result)
}

// deltaWrite reads what writes of a delta have in common, and which delta it is.
func (s *Server) deltaWrite(w http.ResponseWriter, r *http.Request) (fleet.Write, string, error) {
	write, err := writing(w, r)
	if err != nil {
		return write, "", err
	}
	view, err := s.view()
	if err != nil {
		return write, "", err
	}
	id, err := s.deltaID(r, view)
	return write, id, err
}
