package server_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/server"
	"github.com/tributary-gitops/tributary/sources/archive"
)

// hanging is a store that stops answering once it hangs.
type hanging struct {
	*sqlstore.Store
	now atomic.Bool
}

func (h *hanging) Generation(ctx context.Context) (int64, error) {
	if h.now.Load() {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return h.Store.Generation(ctx)
}

// A probe of Kubernetes waits for a second. If a database that hangs made it wait for
// longer, every server would be taken out of service, and no poll would be answered.
func TestServerIsReadyWithinASecondEvenIfTheStoreHangs(t *testing.T) {
	t.Parallel()
	h := &hanging{Store: openStore(t, &renderer{})}
	from := &source{}
	made := start(t, func(c *server.Config) {
		c.Fleet = controller.New(controller.Config{Source: from, Renderer: &renderer{}, Store: h, Archive: archive.Archive{}, Logger: c.Logger, Interval: time.Hour})
	})
	made.source = from
	made.release("main@sha1:1", acme("main@sha1:1"))
	h.now.Store(true)
	began := time.Now()
	if got := made.get("/readyz"); got.status != http.StatusOK {
		t.Errorf("readyz = %d, want 200", got.status)
	}
	if took := time.Since(began); took >= time.Second {
		t.Errorf("readyz took %s", took)
	}
}
