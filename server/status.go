package server

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/standing"
)

// getStatus works before a release is live, since that is when it is needed most.
func (s *Server) getStatus(r *http.Request, _ url.Values) (any, error) {
	status := s.fleet.Status()
	answer := api.Status{
		Source: releaseHandlers{s}.sourceAnswer(), Held: summary(status.Held), Failed: summary(status.Failed), Overdue: len(status.Overdue),
	}
	if v, polls, now := s.look(r.Context()); v != nil {
		live := v.Release()
		answer.Generation, answer.Live = v.Generation(), summary(&live)
		answer.Clusters = standing.Count(v, polls, now)
		if ro := v.State().Rollout; ro != nil {
			release, err := s.fleet.Release(r.Context(), ro.Release.ID())
			if err != nil {
				return nil, err
			}
			answer.RollingOut = summary(release)
			answer.RollingOut.Rollout = release.Rollout
		}
	}
	answer.Attention = answer.NeedsAttention()
	return answer, nil
}

// look returns what is served, the last polls of its clusters and the present time; nil where nothing
// is served.
func (s *Server) look(ctx context.Context) (*view.View, map[string][]fleet.Poll, time.Time) {
	v, err := s.fleet.View()
	if err != nil {
		return nil, nil, s.cfg.Now()
	}
	return v, s.fleet.Polls(ctx, namesOf(v.Members())...), s.cfg.Now()
}

// summary returns what the status says of a release, which may be nil.
func summary(r *fleet.Release) *api.ReleaseSummary {
	if r == nil {
		return nil
	}
	one := &api.ReleaseSummary{ReleaseRef: api.ReleaseRef{ID: r.ID, Revision: r.Revision}, At: r.At, Failing: len(r.Failing)}
	switch faults := r.Problems.Faults(); {
	case r.State == fleet.Held && len(r.Violations) > 0:
		one.Why = r.Violations[0].Message
	case r.State == fleet.Failed && len(faults) > 0:
		one.Why = faults[0].String()
	}
	return one
}
