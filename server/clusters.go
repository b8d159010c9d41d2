package server

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/mux"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

// ClusterAnswer is a cluster as people see it: how it is declared, where that
// placed it, and what it is served.
type ClusterAnswer struct {
	fleet.Cluster
	Placement fleet.Placement `json:"placement"`
	// Inputs has the number of inputs by input set.
	Inputs  map[string]int `json:"inputs"`
	Release ReleaseName    `json:"release"`
	// Orphans are the parts of deltas that the cluster goes without.
	Orphans []fleet.Orphan `json:"orphans,omitempty"`
}

// ReleaseName is which release a cluster is served.
type ReleaseName struct {
	ID       string `json:"id"`
	Revision string `json:"revision"`
}

// List is a page of anything; Next is the ?cursor= of the page after it.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

func newClusterAnswer(v *fleet.View, m *fleet.Member) ClusterAnswer {
	release := v.Release()
	return ClusterAnswer{
		Cluster: m.Cluster, Placement: m.Placement, Inputs: m.Counts,
		Release: ReleaseName{ID: release.ID, Revision: release.Revision}, Orphans: m.Orphans,
	}
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
	return answer(w, r, clusterPage(view, selector, limit, after), stampOf(view))
}

// clusterPage is the first limit clusters whose names come after one name. A
// cursor is a name rather than a number, so that clusters which come and go
// between two pages make no other one appear twice or never.
func clusterPage(v *fleet.View, selector labels.Selector, limit int, after string) List[ClusterAnswer] {
	members := v.Members()
	start, found := slices.BinarySearchFunc(members, after, func(m *fleet.Member, name string) int {
		return strings.Compare(m.Cluster.Name, name)
	})
	if found {
		start++
	}
	answer := List[ClusterAnswer]{Items: []ClusterAnswer{}}
	for _, m := range members[start:] {
		if !selector.Matches(labels.Set(m.Cluster.Labels)) {
			continue
		}
		if len(answer.Items) == limit {
			answer.Next = base64.RawURLEncoding.EncodeToString([]byte(answer.Items[limit-1].Name))
			break
		}
		answer.Items = append(answer.Items, newClusterAnswer(v, m))
	}
	return answer
}

const defaultLimit, maxLimit = 500, 1000

// page reads ?limit= and ?cursor=.
func page(query url.Values) (limit int, after string, err error) {
	limit = defaultLimit
	if query.Has("limit") {
		limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || limit < 1 || limit > maxLimit {
			return 0, "", fmt.Errorf("%w: limit: must be a number from 1 to %d", errBadRequest, maxLimit)
		}
	}
	name, err := base64.RawURLEncoding.DecodeString(query.Get("cursor"))
	if err != nil || len(name) > 0 && !dnsLabel.Match(name) {
		return 0, "", fmt.Errorf("%w: cursor: pass on the list's \"next\" as it is", errBadRequest)
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
	return answer(w, r, newClusterAnswer(view, member), stampOf(view))
}

// member is the cluster that the path names, in the view that is live now.
func (s *Server) member(r *http.Request) (*fleet.View, *fleet.Member, error) {
	view, err := s.view()
	if err != nil {
		return nil, nil, err
	}
	member, err := view.Member(mux.Vars(r)["cluster"])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: GET /api/v1/clusters lists the ones there are", err)
	}
	return view, member, nil
}
