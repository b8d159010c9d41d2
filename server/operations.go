package server

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server/api"
)

// openAPI documents the whole API. A test compares every answer with it.
//
//go:embed openapi.yaml
var openAPI []byte

func (s *Server) getHealth(w http.ResponseWriter, r *http.Request) error {
	return plain(w, r, "ok\n")
}

// pingTimeout is how long the change log may take to answer a probe. It is less than the
// second that Kubernetes waits: a database that hangs must not make all servers count as
// dead, and stop the polls with them.
const pingTimeout = 500 * time.Millisecond

// getReadiness is for load balancers too: they send traffic once there is something to
// serve. Polls are answered while writes are not, so that the server stays ready then.
func (s *Server) getReadiness(w http.ResponseWriter, r *http.Request) error {
	query, err := parameters(r, "verbose")
	if err != nil {
		return err
	}
	if _, err := s.view(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	text := "ok\n"
	if err := s.fleet.Ping(ctx); err != nil {
		text = "ok, but the change log cannot be reached, so writes are refused\n"
	}
	if query.Has("verbose") {
		if lost := s.fleet.LogLost(); lost != nil {
			text += fmt.Sprintln(lost)
		}
		text += slowChanges(s.fleet.Slow(), s.cfg.Now())
	}
	return plain(w, r, text)
}

// slowChanges has a line for each change that somebody has worked on for long.
func slowChanges(slow []controller.SlowChange, now time.Time) string {
	var lines strings.Builder
	for _, c := range slow {
		fmt.Fprintf(&lines, "slow change: %s by %q since %s: %s for %s\n",
			c.What, c.Actor, c.Since.UTC().Format(time.RFC3339), c.Stage, now.Sub(c.Entered).Round(time.Second))
	}
	return lines.String()
}

// getIndex shows the routes to a person with a browser.
func (s *Server) getIndex(w http.ResponseWriter, r *http.Request) error {
	var page strings.Builder
	fmt.Fprintf(&page, "Tributary %s feeds Flux Operator with inputs.\n\n", s.cfg.Version)
	for _, rt := range s.table {
		fmt.Fprintf(&page, "  %-4s %-58s %s\n", rt.method, rt.path, rt.about)
	}
	return plain(w, r, page.String())
}

func (s *Server) getVersion(*http.Request, url.Values) (any, error) {
	return api.Version{Version: s.cfg.Version}, nil
}

// getWhoami tells people which credential a client sends, which they cannot see.
func (s *Server) getWhoami(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	who := identityOf(w)
	known := api.Whoami{Name: who.Name, Role: who.Role.String(), Cluster: who.Cluster, Labels: who.Labels, Selector: who.Scope}
	if who.Token != nil {
		known.ExpiresAt = who.Token.ExpiresAt
	}
	return answer(w, r, known, stamp{})
}
