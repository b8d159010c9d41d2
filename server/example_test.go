package server_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/server"
)

// The example fleet, rendered by the real renderer, is served as the document describes.
func TestExampleFleetIsServedAsDocumented(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *server.Config) {
		c.Fleet = controller.New(controller.Config{Source: example{&source{}}, Renderer: render.Renderer{}})
	})
	eventually(t, func() bool { return h.get("/readyz").status == http.StatusOK })
	var all clusterList
	h.get("/api/v1/clusters").wantOK(t, &all)
	if len(all.Items) < 8 {
		t.Fatalf("the example has %d clusters, want 8 or more", len(all.Items))
	}
	for i, c := range all.Items {
		for set, count := range c.Inputs {
			var got inputs
			h.get("/api/v1/flux/clusters/"+c.Name+"/"+set).wantOK(t, &got)
			if len(got.Inputs) != count {
				t.Errorf("%s/%s: %d inputs, want %d", c.Name, set, len(got.Inputs), count)
			}
		}
		var objects struct {
			Items []struct {
				APIVersion, Kind string
				Metadata         struct{ Name, Namespace string }
			}
		}
		path := "/api/v1/clusters/" + c.Name + "/objects"
		h.get(path).wantOK(t, &objects)
		if i > 0 {
			continue // each object costs one rendering of its cluster
		}
		for _, o := range objects.Items {
			group := fleet.Object{APIVersion: o.APIVersion}.Group()
			h.get(path+"/"+o.Kind+"/"+url.PathEscape(o.Metadata.Name)+"?namespace="+o.Metadata.Namespace+"&group="+group).
				wantOK(t, &struct{}{})
		}
	}
	var got inputs
	h.get("/api/v1/flux/clusters").wantOK(t, &got)
	if len(got.Inputs) != len(all.Items) {
		t.Errorf("%d clusters as inputs, want %d", len(got.Inputs), len(all.Items))
	}
}

// example is a source of examples/fleet.
type example struct{ *source }

func (e example) Fetch(_ context.Context, known string) (*fleet.Snapshot, error) {
	if known != "" {
		return nil, nil
	}
	return &fleet.Snapshot{Revision: "local@sha256:example", Tree: os.DirFS("../examples/fleet")}, nil
}
