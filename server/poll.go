package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/limit"
)

// pollPath takes the path of a poll apart. It runs before the router and for
// every request, and must know a poll whatever its method is, since the router
// has no routes for them. Escaped paths are split before they are unescaped: a
// %2F is part of a name.
func pollPath(u *url.URL) (cluster, set string, is bool) {
	path := u.Path
	if u.RawPath != "" {
		path = u.RawPath
	}
	rest, is := strings.CutPrefix(path, "/api/v1/flux/clusters/")
	if !is {
		rest, is = strings.CutPrefix(path, "/api/v2/flux/clusters/")
	}
	if !is {
		return "", "", false
	}
	cluster, set, is = strings.Cut(rest, "/")
	if !is || cluster == "" || set == "" || strings.Contains(set, "/") {
		return "", "", false
	}
	if u.RawPath != "" {
		return unescaped(cluster), unescaped(set), true
	}
	return cluster, set, true
}

// unescaped needs no error: net/http has parsed the path already.
func unescaped(segment string) string {
	plain, _ := url.PathUnescape(segment)
	return plain
}

// servePoll answers a poll and counts it. Polls are not logged: ten thousand
// clusters would drown everything else, and say no more than the counters do.
func (s *Server) servePoll(w http.ResponseWriter, r *http.Request, cluster, set string) {
	if limit.ConnOf(r).Excess() {
		s.metrics.pollsShed.WithLabelValues(limit.ReasonConnections).Inc()
		s.metrics.polled("", s.problem(w, r, limit.ErrConnections))
		return
	}
	p, err := s.poll(r, cluster, set)
	switch {
	case err == nil:
		s.metrics.polled(set, s.sendPoll(w, r, set, p))
	case p.view != nil && slices.Contains(p.view.Sets(), set):
		s.metrics.polled(set, s.problem(w, r, err))
	default:
		// A label that takes what clients make up would grow without end.
		s.metrics.polled("", s.problem(w, r, err))
	}
}

// sendPoll sends what a poll came to, if there is room for one more, and returns
// the status. Finding it waits for nothing, and what is held back of those who guess
// credentials takes no room.
func (s *Server) sendPoll(w http.ResponseWriter, r *http.Request, set string, p polled) int {
	slot, err := s.polls.Enter(time.Now())
	if err != nil {
		s.metrics.pollsShed.WithLabelValues(limit.Reason(err)).Inc()
		return s.problem(w, r, err)
	}
	defer s.polls.Leave(slot)
	status := write(s.steadily(w, p.body.Size()), r, jsonType, p.body, p.stamp())
	p.note(r, set)
	return status
}

// polled is what a poll came to.
type polled struct {
	who    identity
	view   *fleet.View
	member *fleet.Member
	body   *fleet.Body
}

// limitKey returns what the rate of polls is counted by. Many clusters may share a
// viewer's credential, or use none, and one of them must not slow down the rest.
func (p polled) limitKey() limit.Key {
	key := p.who.limitKey()
	if p.who.role != roleCluster && p.member != nil {
		key.Cluster = p.member.Cluster.Name
	}
	return key
}

// stamp has the release that the cluster is on, which need not be the live one.
func (p polled) stamp() stamp {
	return stamp{p.member.Release().Revision, strconv.FormatInt(p.view.Generation(), 10)}
}

// operatorAgent is what the User-Agent of Flux Operator begins with.
const operatorAgent = "flux-operator/"

// note keeps the poll as the cluster's last. What a person looks at with a
// credential of his own is none.
func (p polled) note(r *http.Request, set string) {
	agent := r.UserAgent()
	if r.Method == http.MethodGet && (p.who.role == roleCluster || strings.HasPrefix(agent, operatorAgent)) {
		p.member.Polled(set, time.Now(), p.view.Generation(), agent)
	}
}

// poll finds what to answer: credential, view, bytes. What is returned without
// an error is the complete set of a live release, and nothing else ever is.
func (s *Server) poll(r *http.Request, cluster, set string) (p polled, err error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return p, &methodError{method: r.Method, allowed: "GET, HEAD"}
	}
	if p.who, err = s.authenticate(r, false); err != nil {
		return p, err
	}
	if p.view, err = s.view(); err != nil {
		return p, err
	}
	p.member, err = p.view.Member(cluster)
	if wait := s.pollRate.Take(p.limitKey()); wait > 0 {
		s.metrics.pollsShed.WithLabelValues(limit.ReasonRate).Inc()
		return p, limit.RateError(wait, "poll less often")
	}
	if !p.who.mayPoll(cluster, p.member) {
		return p, fmt.Errorf("%w: this credential does not read that cluster's inputs", fleet.ErrForbidden)
	}
	if err != nil {
		return p, fmt.Errorf("%w: correct the name, or declare it in the fleet repo or through the API", err)
	}
	p.body, err = p.member.Inputs(set)
	if errors.Is(err, fleet.ErrNotFound) {
		err = fmt.Errorf("%w: correct the name, or declare it under spec.inputs of fleet.yaml", err)
	}
	return p, err
}

// view returns what is served now. A request calls it once.
func (s *Server) view() (*fleet.View, error) {
	view, err := s.fleet.View()
	if err != nil {
		return nil, fmt.Errorf("%w; GET /api/v1/releases says more", err)
	}
	return view, nil
}

// getClusterInputs answers the poll of a management cluster.
func (s *Server) getClusterInputs(w http.ResponseWriter, r *http.Request) error {
	view, err := s.view()
	if err != nil {
		return err
	}
	query, err := parameters(r, "selector")
	if err != nil {
		return err
	}
	selector, err := selectorIn(query)
	if err != nil {
		return err
	}
	body, err := view.ClusterInputs(selector)
	if err != nil {
		return err
	}
	write(w, r, jsonType, body, stampOf(view))
	return nil
}

// selectorIn is the selector of a query; one that is absent matches everything.
func selectorIn(query url.Values) (labels.Selector, error) {
	selector, err := labels.Parse(query.Get("selector"))
	if err != nil {
		return nil, fmt.Errorf("%w: selector: %w: write it as kubectl takes it, such as environment=prod,region in (eu,us)", api.ErrBadRequest, err)
	}
	return selector, nil
}
