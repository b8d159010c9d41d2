package server

import (
	"encoding/json"
	"net/http"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// getBootstrap has every provider ask for as much as can be: a set may grow, and
// what is beyond the limit is deleted in the cluster without a word.
func (s *Server) getBootstrap(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view()
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	all := api.Bootstrap{Sets: []api.BootstrapSet{}, ResourceSets: []json.RawMessage{}}
	for _, name := range view.Sets() {
		all.Sets = append(all.Sets, api.BootstrapSet{Name: name, Limit: fleet.MaxInputs})
	}
	for _, o := range view.ResourceSets() {
		all.ResourceSets = append(all.ResourceSets, o.JSON)
	}
	return answer(w, r, all, stampOf(view))
}
