package render

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestDerivedStackIsBuiltOnce derives a stack in many goroutines at once, and then more
// stacks than are remembered.
func TestDerivedStackIsBuiltOnce(t *testing.T) {
	t.Parallel()
	files := validFleet()
	for name, text := range components {
		files[name] = text
	}
	repo := compiled(t, files)
	p := fleet.Placement{Overlay: "base", Components: []string{"extra"}}
	first := repo.derive(context.Background(), newPlace(p))
	repo.derived.stacks.Purge()
	var group sync.WaitGroup
	stacks := make([]*stack, 16)
	start := make(chan struct{})
	for i := range stacks {
		group.Go(func() {
			<-start
			stacks[i] = repo.derive(context.Background(), newPlace(p)).stack
		})
	}
	close(start)
	group.Wait()
	for _, s := range stacks {
		if s == nil || s != stacks[0] || s == first.stack {
			t.Errorf("stacks of one placement are %p and %p, before that %p; problems %v", stacks[0], s, first.stack, first.problems)
		}
	}
	for i := range 2 * maxDerived {
		p := fleet.Placement{Overlay: "base", Components: strings.Fields(fmt.Sprint("none", i))}
		if d := repo.derive(context.Background(), newPlace(p)); d.stack != nil {
			t.Fatalf("a stack with %v is built", p.Components)
		}
	}
	if kept := repo.derived.stacks.Len(); kept > maxDerived {
		t.Errorf("%d derived stacks are kept, want at most %d", kept, maxDerived)
	}
}
