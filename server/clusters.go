package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// clusterAnswers are those of members of a view.
func (s *Server) clusterAnswers(ctx context.Context, v *fleet.View, members ...*fleet.Member) []api.Cluster {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Cluster.Name
	}
	polls := s.fleet.Polls(ctx, names...)
	answers, now := make([]api.Cluster, len(members)), time.Now()
	for i, m := range members {
		release, own := m.Release(), polls[m.Cluster.Name]
		answers[i] = api.Cluster{
			Cluster: *m.Cluster, State: m.State, Placement: m.Placement, Inputs: m.Counts,
			Release: api.ReleaseRef{ID: release.ID, Revision: release.Revision}, Orphans: m.Orphans,
			Why: v.Why(m), Polls: pollAnswers(own), Contact: contactOf(own, m.Counts, now), DeclaredBy: declaredBy(v, m),
		}
		if p := v.Pinned(m); p != nil {
			answers[i].Pin = p.Name
		}
		if d := v.Declared(m); d != nil && answers[i].DeclaredBy == "api" {
			answers[i].Resources, answers[i].Patches = d.Resources, d.Patches
		}
		if t := m.Decommissioned(); t != nil {
			answers[i].Decommissioned = &api.Decommission{Generation: t.Generation, At: t.At}
		}
	}
	return answers
}

// declaredBy is where the fields of a member come from; "" where nothing declares
// it any more.
func declaredBy(v *fleet.View, m *fleet.Member) string {
	switch {
	case m.Cluster.File != "":
		return "git"
	case v.Declared(m) != nil:
		return "api"
	}
	return ""
}

func (s *Server) getClusters(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view()
	if err != nil {
		return err
	}
	query, err := parameters(r, "selector", "limit", "cursor")
	if err != nil {
		return err
	}
	selector, err := selectorIn(query)
	if err != nil {
		return err
	}
	limit, after, err := page(query)
	if err != nil {
		return err
	}
	members, next := clusterPage(view, selector, limit, after)
	page := api.List[api.Cluster]{Items: s.clusterAnswers(r.Context(), view, members...), Next: next}
	return answer(w, r, page, stampOf(view))
}

// clusterPage is the first limit clusters whose names come after one name. A
// cursor is a name rather than a number, so that clusters which come and go
// between two pages make no other one appear twice or never.
func clusterPage(v *fleet.View, selector labels.Selector, limit int, after string) (page []*fleet.Member, next string) {
	members := v.Members()
	start, found := slices.BinarySearchFunc(members, after, func(m *fleet.Member, name string) int {
		return strings.Compare(m.Cluster.Name, name)
	})
	if found {
		start++
	}
	for _, m := range members[start:] {
		if !selector.Matches(labels.Set(m.Cluster.Labels)) {
			continue
		}
		if len(page) == limit {
			return page, base64.RawURLEncoding.EncodeToString([]byte(page[limit-1].Cluster.Name))
		}
		page = append(page, m)
	}
	return page, ""
}

const defaultLimit, maxLimit = 500, 1000

// page reads ?limit= and ?cursor=.
func page(query url.Values) (limit int, after string, err error) {
	limit = defaultLimit
	if query.Has("limit") {
		limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || limit < 1 || limit > maxLimit {
			return 0, "", fmt.Errorf("%w: limit: must be a number from 1 to %d", api.ErrBadRequest, maxLimit)
		}
	}
	name, err := base64.RawURLEncoding.DecodeString(query.Get("cursor"))
	if err != nil || len(name) > 0 && !dnsLabel.Match(name) {
		return 0, "", fmt.Errorf("%w: cursor: pass on the list's \"next\" as it is", api.ErrBadRequest)
	}
	return limit, string(name), nil
}

func (s *Server) getCluster(w http.ResponseWriter, r *http.Request) error {
	view, member, err := s.member(r)
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	return answer(w, r, s.clusterAnswers(r.Context(), view, member)[0], stampOf(view))
}

// member is the cluster that the path names, in the view that is live now.
func (s *Server) member(r *http.Request) (*fleet.View, *fleet.Member, error) {
	view, err := s.view()
	if err != nil {
		return nil, nil, err
	}
	member, err := view.Member(mux.Vars(r)["cluster"])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: GET /api/v1/clusters lists those that exist", err)
	}
	return view, member, nil
}
