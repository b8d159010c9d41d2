package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// getReleases can be read before anything is live, since that is when it is needed
// most.
func (s *Server) getReleases(w http.ResponseWriter, r *http.Request) error {
	query, err := parameters(r, "state", "limit", "cursor")
	if err != nil {
		return err
	}
	q, err := releaseQuery(query)
	if err != nil {
		return err
	}
	all := api.Releases{Source: s.sourceAnswer()}
	if all.List, err = s.releasePage(r, q); err != nil {
		return err
	}
	return answer(w, r, all, stamp{})
}

var states = []fleet.State{fleet.Live, fleet.Held, fleet.Failed, fleet.Superseded, fleet.Rejected}

func releaseQuery(query url.Values) (q fleet.ReleaseQuery, err error) {
	q.State = fleet.State(query.Get("state"))
	if query.Has("state") && !slices.Contains(states, q.State) {
		return q, fmt.Errorf("%w: state: must be one of %v", api.ErrBadRequest, states)
	}
	q.Limit, q.Before, err = logPage(query, api.DefaultReleases, api.MaxReleases)
	return q, err
}

// together is more releases than one change moves from one state to another.
const together = 8

// releasePage goes on a little over the limit where releases came to be what they
// are by one change, since the next page begins behind that.
func (s *Server) releasePage(r *http.Request, q fleet.ReleaseQuery) (page api.List[fleet.Release], err error) {
	limit := q.Limit
	q.Limit += together
	found, err := s.fleet.Releases(r.Context(), q)
	if err != nil {
		return page, err
	}
	page.Items = append([]fleet.Release{}, found...)
	for at := limit; at < len(found); at++ {
		if last := found[at-1].Generation; found[at].Generation != last {
			page.Items, page.Next = page.Items[:at], strconv.FormatInt(last, 10)
			break
		}
	}
	return page, nil
}

func (s *Server) sourceAnswer() api.Source {
	status := s.fleet.Status()
	source := api.Source{Name: status.Source, Leading: status.Leading}
	if !status.LookedAt.IsZero() {
		source.LookedAt = &status.LookedAt
	}
	if status.SourceError != nil {
		source.Error = status.SourceError.Error()
	}
	return source
}

func (s *Server) getRelease(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	release, err := s.fleet.Release(r.Context(), mux.Vars(r)["id"])
	if err != nil {
		return toList(err, "/api/v1/releases")
	}
	return answer(w, r, release, stamp{})
}

// toList says where those are that there are.
func toList(err error, list string) error {
	if errors.Is(err, fleet.ErrNotFound) {
		return fmt.Errorf("%w: GET %s lists those that exist", err, list)
	}
	return err
}
