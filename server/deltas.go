package server

import (
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
)

// deltaDocument are the media types of a delta's document.
var deltaDocument = []string{"application/json", "application/yaml"}

// DeltaAnswer is a delta with how it is doing.
type DeltaAnswer struct {
	*fleet.Delta
	Status DeltaStatus `json:"status"`
}

// DeltaStatus is how a delta is doing.
type DeltaStatus struct {
	// Clusters is how many it is for.
	Clusters int `json:"clusters"`
	// Orphans are its parts that some clusters go without.
	Orphans []OrphanAnswer `json:"orphans,omitempty"`
	// Overdue says why it is still in force though it has expired.
	Overdue string `json:"overdue,omitempty"`
}

// OrphanAnswer is a part of a delta that a cluster goes without.
type OrphanAnswer struct {
	Cluster string `json:"cluster"`
	fleet.Orphan
}

func (s *Server) getDeltas(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view()
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	all := List[DeltaAnswer]{Items: []DeltaAnswer{}}
	overdue := s.fleet.Status().Overdue
	usage := view.DeltaUsage()
	for _, d := range view.Deltas() {
		answer := DeltaAnswer{Delta: d, Status: DeltaStatus{Clusters: usage[d.ID()].Clusters, Overdue: overdue[d.ID()]}}
		for _, m := range usage[d.ID()].Orphaned {
			for _, o := range m.Orphans {
				if o.Delta == d.ID() {
					answer.Status.Orphans = append(answer.Status.Orphans, OrphanAnswer{m.Cluster.Name, o})
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
	return "", fmt.Errorf("%w: GET /api/v1/clusters lists the ones there are", err)
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
