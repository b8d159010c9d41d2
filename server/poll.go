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
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/auth"
	"github.com/tributary-gitops/tributary/server/limit"
)

// pollPath splits the path of a poll. It runs ahead of the router, for every request and
// whatever its method, since the router has no routes for polls. Escaped paths are split
// before they are unescaped: a %2F is part of a name.
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

// servePoll answers a poll and counts it. Polls are not logged: those of ten thousand
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

// sendPoll sends the answer to a poll, if there is room for one more, and returns the
// status. Finding the answer waits for nothing, and a delayed answer to a failed attempt
// takes no room.
func (s *Server) sendPoll(w http.ResponseWriter, r *http.Request, set string, p polled) int {
	slot, err := s.polls.Enter(time.Now())
	if err != nil {
		s.metrics.pollsShed.WithLabelValues(limit.Reason(err)).Inc()
		return s.problem(w, r, err)
	}
	defer s.polls.Leave(slot)
	w = limit.StallWriter(w, p.body.Size(), s.cfg.Limits.Stall, s.cfg.Limits.Write)
	status := write(w, r, jsonType, p.body, p.stamp())
	s.record(p, r, set)
	return status
}

// polled is what was found for a poll.
type polled struct {
	who    auth.Identity
	asked  string // the name or dns of the cluster
	view   *view.View
	member *view.Member
	body   *view.Body
}

// poll finds the answer to a poll: credential, view, bytes. What it returns without an
// error is the complete set of a live release, and never anything else.
func (s *Server) poll(r *http.Request, cluster, set string) (p polled, err error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return p, &methodError{method: r.Method, allowed: "GET, HEAD"}
	}
	p.asked = cluster
	if p.who, err = s.auth.Authenticate(r); err != nil {
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
	if !mayPoll(p.who, cluster, p.member) {
		return p, fmt.Errorf("%w: this credential does not read that cluster's inputs", fleet.ErrForbidden)
	}
	if err != nil {
		return p, fmt.Errorf("%w: correct the name, or declare the cluster in the fleet repo or through the API", err)
	}
	p.body, err = p.member.Body(set)
	if errors.Is(err, fleet.ErrNotFound) {
		err = fmt.Errorf("%w: correct the name, or declare the set under spec.inputs of fleet.yaml", err)
	}
	return p, err
}

// mayPoll reports whether an identity may read the inputs of the cluster that was asked
// for, by name or dns; m is nil if there is no such cluster. A cluster learns neither
// what other clusters are served nor whether they exist.
func mayPoll(who auth.Identity, asked string, m *view.Member) bool {
	if who.Role != auth.Cluster {
		return who.Role >= auth.Viewer
	}
	if m != nil {
		asked = m.Cluster.Name
	}
	return asked == who.Cluster
}

// limitKey returns what the rate of polls is counted by. Many clusters may share a
// viewer's credential, or use none, and one of them must not slow down the rest.
func (p polled) limitKey() limit.Key {
	key := limitKey(p.who)
	if p.who.Role != auth.Cluster && p.member != nil {
		key.Cluster = p.member.Cluster.Name
	}
	return key
}

// stamp names the release that the cluster is on, which need not be the live one.
func (p polled) stamp() stamp {
	return stamp{p.member.Release().Revision, strconv.FormatInt(p.view.Generation(), 10)}
}

// operatorAgent is the beginning of Flux Operator's User-Agent.
const operatorAgent = "flux-operator/"

// record keeps the poll as the cluster's last. Only Flux Operator applies what it gets: any other
// client polls by hand, also with the cluster's own credential.
func (s *Server) record(p polled, r *http.Request, set string) {
	if r.Method != http.MethodGet {
		return
	}
	agent, by := r.UserAgent(), p.who.Name
	if strings.HasPrefix(agent, operatorAgent) {
		by = ""
	}
	s.fleet.RecordPoll(p.member, p.asked, set, p.view.Generation(), agent, by)
}

// view returns what is served now. A request calls it once.
func (s *Server) view() (*view.View, error) {
	view, err := s.fleet.View()
	if err == nil {
		return view, nil
	}
	if held := s.fleet.Status().Held; held != nil && !fleet.NeedFix(held.Violations) {
		return nil, fmt.Errorf("%w; GET /api/v1/releases says why, and POST /api/v1/releases/%s/approve approves it", err, held.ID)
	}
	return nil, fmt.Errorf("%w; GET /api/v1/releases says more", err)
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
	if agent := r.UserAgent(); r.Method == http.MethodGet && strings.HasPrefix(agent, operatorAgent) {
		if err := s.fleet.RecordListPoll(r.Context(), selector, view.Generation(), agent); err != nil {
			return err
		}
	}
	write(w, r, jsonType, body, stampOf(view))
	return nil
}

// selectorIn returns the selector of a query; without one it matches everything.
func selectorIn(query url.Values) (labels.Selector, error) {
	selector, err := labels.Parse(query.Get("selector"))
	if err != nil {
		return nil, fmt.Errorf("%w: selector: %w: write it as for kubectl, such as environment=prod,region in (eu,us)", api.ErrBadRequest, err)
	}
	return selector, nil
}
