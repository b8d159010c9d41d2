package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
)

// ReleasesAnswer is the list of releases, with how the source is doing beside
// it: that it does not answer belongs to no release.
type ReleasesAnswer struct {
	List[fleet.Release]
	Source SourceAnswer `json:"source"`
}

// SourceAnswer is how the source is doing.
type SourceAnswer struct {
	Name string `json:"name"`
	// LookedAt is when the source last answered; absent if it never has.
	LookedAt *time.Time `json:"lookedAt,omitempty"`
	// Error is why the last look gave no answer; absent if it gave one.
	Error string `json:"error,omitempty"`
	// Leading tells whether it is this server that follows the source.
	Leading bool `json:"leading,omitempty"`
}

// releases are the live one, if any, and after it the last one to fail, if the
// source still holds it. They can be read before anything is live, since that is
// when they are needed most.
func (s *Server) releases() []fleet.Release {
	all := []fleet.Release{}
	if view, err := s.fleet.View(); err == nil {
		all = append(all, view.Release())
	}
	if failed := s.fleet.Status().Failed; failed != nil {
		all = append(all, *failed)
	}
	return all
}

func (s *Server) getReleases(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	status := s.fleet.Status()
	all := ReleasesAnswer{Source: SourceAnswer{Name: status.Source, Leading: status.Leading}}
	all.Items = s.releases()
	if !status.LookedAt.IsZero() {
		all.Source.LookedAt = &status.LookedAt
	}
	if status.SourceError != nil {
		all.Source.Error = status.SourceError.Error()
	}
	return answer(w, r, all, stamp{})
}

func (s *Server) getRelease(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	id := mux.Vars(r)["id"]
	for _, release := range s.releases() {
		if release.ID == id {
			return answer(w, r, release, stamp{})
		}
	}
	return fmt.Errorf("release %q: %w: GET /api/v1/releases lists the ones there are", id, fleet.ErrNotFound)
}
