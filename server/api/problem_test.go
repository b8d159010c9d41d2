package api_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

func TestProblemsTurnBackIntoTheirErrors(t *testing.T) {
	t.Parallel()
	for _, want := range []error{
		fleet.ErrStoreFull, fleet.ErrStore, fleet.ErrNotReady, fleet.ErrUnauthenticated, fleet.ErrForbidden,
		fleet.ErrNotFound, fleet.ErrStale, fleet.ErrConflict, fleet.ErrTooLarge, fleet.ErrInvalid,
	} {
		text := fmt.Sprintf("cluster %q: %s", "edge-1", want)
		p := api.NewProblem(fmt.Errorf("cluster %q: %w", "edge-1", want))
		if got := p.Err(); !errors.Is(got, want) || p.Detail != text {
			t.Errorf("%v turns into %v with detail %q, want %q", want, got, p.Detail, text)
		}
	}
	if p := api.NewProblem(fmt.Errorf("release of main@sha1:1: %w", fleet.ErrUnavailable)); p.Status != 503 || !errors.Is(p.Err(), fleet.ErrNotReady) {
		t.Errorf("a release that cannot be loaded is %+v, want not ready", p)
	}
	for _, of := range api.ProblemTypes() {
		p := api.Problem{Type: of}
		if known, internal := p.Err() != nil, of == api.ProblemType+"internal"; known == internal {
			t.Errorf("%s has an error: %v", of, known)
		}
	}
}
