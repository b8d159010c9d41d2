package soaktest

import (
	"math/rand/v2"
	"testing"

	"github.com/tributary-gitops/tributary/render"
)

// TestModelAgreesWithRendering holds the model against what it is a model of, without
// a fleet around it, so that where both fail it is known whose fault that is.
func TestModelAgreesWithRendering(t *testing.T) {
	a := &author{Rand: rand.New(rand.NewPCG(1, 1)), gone: map[string]file{}}
	c := a.first()
	for range 25 {
		var did string
		c, did = a.next(c)
		r, err := render.Renderer{}.Compile(t.Context(), c.tree())
		if err != nil {
			t.Fatal(err)
		}
		if r.Failed() != c.unreadable {
			t.Fatalf("%s: Failed() = %v, want %v: %v", did, r.Failed(), c.unreadable, r.Problems())
		}
		broken := 0
		for _, f := range c.clusters {
			if f.broken {
				broken++
			}
		}
		if !c.unreadable && (len(r.Broken()) != broken || len(r.Clusters()) != len(c.clusters)-broken) {
			t.Errorf("%s: %d broken of %d, want %d", did, len(r.Broken()), len(r.Clusters()), broken)
		}
		for _, one := range r.Clusters() {
			rendering, problems := r.Render(one, nil, nil)
			s := subject{name: one.Name, labels: c.clusters[one.Name].labels, patch: c.clusters[one.Name].patch}
			want := c.render(s, nil)
			if (rendering == nil) != (len(want.faults) > 0) {
				t.Fatalf("%s: %s: %v %v, want %v", did, one.Name, problems, r.Problems(), want.faults)
			}
			if rendering == nil {
				continue
			}
			for _, set := range everySet {
				got := "" // for a set that there is not
				if body := rendering.Inputs[set]; body != nil {
					got = string(body.JSON())
				}
				if got != want.answer(s, set) {
					t.Fatalf("%s: %s of %s is\n%s\nwant\n%s", did, set, one.Name, got, want.answer(s, set))
				}
			}
		}
	}
}
