package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server/api"
)

// getReleases works before a release is live, since that is when it is needed most.
func (s releaseHandlers) getReleases(r *http.Request, query url.Values) (any, error) {
	q, err := releaseQuery(query)
	if err != nil {
		return nil, err
	}
	all := api.Releases{Source: s.sourceAnswer()}
	if all.List, err = s.releasePage(r, q); err != nil {
		return nil, err
	}
	return all, nil
}

var states = []fleet.ReleaseState{fleet.Live, fleet.Held, fleet.Failed, fleet.Superseded, fleet.Rejected}

func releaseQuery(query url.Values) (q fleet.ReleaseQuery, err error) {
	q.State = fleet.ReleaseState(query.Get("state"))
	if query.Has("state") && !slices.Contains(states, q.State) {
		return q, fmt.Errorf("%w: state: must be one of %v", api.ErrBadRequest, states)
	}
	q.Limit, q.Before, err = logPage(query, api.DefaultReleases, api.MaxReleases)
	return q, err
}

// maxTogether is more releases than one change moves to another state.
const maxTogether = 8

// releasePage returns slightly more than the limit if one change moved several releases
// to another state, since the cursor of the next page is that change's generation.
func (s releaseHandlers) releasePage(r *http.Request, q fleet.ReleaseQuery) (page api.List[fleet.Release], err error) {
	limit := q.Limit
	q.Limit += maxTogether
	found, err := s.fleet.Releases(r.Context(), q)
	if err != nil {
		return page, err
	}
	page.Items = []fleet.Release{}
	pins := s.pins()
	for _, release := range found {
		page.Items = append(page.Items, api.NewRelease(release, pins))
	}
	for at := limit; at < len(found); at++ {
		if last := found[at-1].Generation; found[at].Generation != last {
			page.Items, page.Next = page.Items[:at], strconv.FormatInt(last, 10)
			break
		}
	}
	return page, nil
}

// pins returns those in force; none before anything is served.
func (s releaseHandlers) pins() []*fleet.Pin {
	v, err := s.fleet.View()
	if err != nil {
		return nil
	}
	return v.State().Pins.List()
}

func (s releaseHandlers) sourceAnswer() api.Source {
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

func (s releaseHandlers) getRelease(r *http.Request, _ url.Values) (any, error) {
	release, err := s.fleet.Release(r.Context(), mux.Vars(r)["id"])
	if err != nil {
		return nil, withList(err, "/api/v1/releases")
	}
	return api.NewRelease(*release, s.pins()), nil
}

// postDecision answers a decision on a release.
func (s releaseHandlers) postDecision(verdict fleet.Verdict) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		write, digest, err := decision(w, r)
		if err != nil {
			return err
		}
		release, err := s.fleet.Decide(r.Context(), write, verdict, mux.Vars(r)["id"], digest)
		if err != nil {
			return withList(err, "/api/v1/releases")
		}
		return changed(w, http.StatusOK, api.NewRelease(*release, s.pins()), release.Generation)
	}
}

// decision returns who decides and why, and the digest of the impact that the decision is
// about.
func decision(w http.ResponseWriter, r *http.Request) (write controller.WriteOptions, digest string, err error) {
	write, err = plainWriteOptions(w, r, "a decision (whose body takes the digest of an impact)")
	if err != nil || r.ContentLength == 0 {
		return write, "", err
	}
	var request api.Decision
	if err := jsonDocument(r, &request); err != nil {
		return write, "", err
	}
	switch {
	case request.Digest != "" && !isDigest.MatchString(request.Digest):
		err = fleet.Problems{{Field: "digest", Message: "must be the digest of the release's impact, sha256:<64 hex>"}}
	case request.Reason != "" && write.Reason != "":
		err = fmt.Errorf("%w: reason: give it in the body or in Tributary-Reason, not in both", api.ErrBadRequest)
	case request.Reason != "":
		write.Reason = request.Reason
		err = checkReason("reason", request.Reason)
	}
	return write, request.Digest, err
}
