package server

import (
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
)

func (s deltaHandlers) getDeltas(_ *http.Request, v *view.View, _ url.Values) (any, error) {
	all := api.List[api.Delta]{Items: []api.Delta{}}
	overdue := s.fleet.Status().Overdue
	usage := v.DeltaUsage()
	for _, d := range v.Deltas() {
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
	return all, nil
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

func (s deltaHandlers) getDelta(r *http.Request, v *view.View, _ url.Values) (any, error) {
	id, err := deltaID(r, v)
	if err != nil {
		return nil, err
	}
	delta, err := v.Delta(id)
	if err != nil {
		return nil, err
	}
	return delta, nil
}

func (s deltaHandlers) putDelta(r *http.Request, write controller.WriteOptions) (*fleet.Result, error) {
	write, id, err := s.deltaWrite(r, write)
	if err != nil {
		return nil, err
	}
	text, _, err := document(r, documentTypes...)
	if err != nil {
		return nil, err
	}
	delta, err := s.fleet.ReadDelta(id, text)
	if err != nil {
		return nil, err
	}
	return s.fleet.PutDelta(r.Context(), write, delta)
}

func (s deltaHandlers) deleteDelta(r *http.Request, write controller.WriteOptions) (*fleet.Result, error) {
	write, id, err := s.deltaWrite(r, write)
	if err != nil {
		return nil, err
	}
	return s.fleet.DeleteDelta(r.Context(), write, id)
}

// deltaWrite returns the options of a write with the version that it requires, and the ID of
// the delta that it is for.
func (s deltaHandlers) deltaWrite(r *http.Request, write controller.WriteOptions) (controller.WriteOptions, string, error) {
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
