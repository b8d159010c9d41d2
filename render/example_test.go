package render_test

import (
	"context"
	"os"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
)

// TestExampleFleetHasNoProblems keeps the fleet that newcomers copy free of
// warnings too.
func TestExampleFleetHasNoProblems(t *testing.T) {
	snapshot := &fleet.Snapshot{Revision: "local", Tree: os.DirFS("../examples/fleet")}
	view, problems, err := controller.Prepare(context.Background(), render.Renderer{}, snapshot, nil, nil)
	if err != nil || len(problems) > 0 {
		t.Fatalf("Prepare(examples/fleet): %v\n%v", err, problems)
	}
	if got := len(view.Members()); got < 8 {
		t.Errorf("examples/fleet has %d clusters, want at least 8", got)
	}
}
