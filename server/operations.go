package server

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// openAPI describes the whole API; a test holds the server against it.
//
//go:embed openapi.yaml
var openAPI []byte

var plainType = []string{"text/plain; charset=utf-8"}

func (s *Server) getHealth(w http.ResponseWriter, r *http.Request) error {
	write(w, r, plainType, fleet.NewBody([]byte("ok\n")), stamp{})
	return nil
}

// readyTime is how long the change log may take to answer a probe. It is less than
// the second that Kubernetes waits, because a database that hangs must not have all
// servers taken for dead, and the polls with them.
const readyTime = 500 * time.Millisecond

// getReadiness is for load balancers too: traffic comes once there is something
// to serve. That writes are refused does not keep polls away, which are answered.
func (s *Server) getReadiness(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.view(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	text := "ok\n"
	if err := s.fleet.Ping(ctx); err != nil {
		text = "ok, but the change log cannot be reached, so that writes are refused\n"
	}
	write(w, r, plainType, fleet.NewBody([]byte(text)), stamp{})
	return nil
}

// getIndex tells who looks here with a browser what there is.
func (s *Server) getIndex(w http.ResponseWriter, r *http.Request) error {
	var page strings.Builder
	fmt.Fprintf(&page, "Tributary %s feeds Flux Operator with inputs.\n\n", s.cfg.Version)
	for _, rt := range s.table {
		fmt.Fprintf(&page, "  %-4s %-58s %s\n", rt.method, rt.path, rt.about)
	}
	write(w, r, plainType, fleet.NewBody([]byte(page.String())), stamp{})
	return nil
}
