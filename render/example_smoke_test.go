package render_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

func TestExampleFleetHasNoProblems(t *testing.T) {
	snapshot := &fleet.Snapshot{Revision: "local", Tree: os.DirFS("../examples/fleet")}
	start := time.Now()
	view, problems, err := fleet.Prepare(context.Background(), render.Renderer{}, snapshot, time.Now(), nil)
	if err != nil || len(problems) > 0 {
		t.Fatalf("Prepare: %v\n%v", err, problems)
	}
	t.Log(time.Since(start), len(view.Members()))
	for _, m := range view.Members() {
		b, _ := m.Inputs("namespaces")
		t.Log(m.Cluster.Name, m.Placement, m.Counts, len(b.JSON))
	}
}
