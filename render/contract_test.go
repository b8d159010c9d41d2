package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/cache"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
)

// TestMoreInputsThanTheClientAdmitsIsAFault calls answer itself, because a
// build of so many objects is refused for the time it would take.
func TestMoreInputsThanTheClientAdmitsIsAFault(t *testing.T) {
	set := &fleetrepo.InputSet{Name: "apps"}
	r := &Repo{sets: []*fleetrepo.InputSet{set}}
	for _, c := range []struct {
		n    int
		want string
	}{
		{fleet.MaxInputs, ""},
		{fleet.MaxInputs + 1, "has 10001 inputs, and Flux Operator accepts at most 10000"},
	} {
		var objects []*cache.Object
		for i := range c.n {
			in := &cache.Input{Input: fleet.Input{ID: fmt.Sprintf("%05d", i)}}
			in.Tail = fmt.Appendf(nil, `"id":%q`, in.ID)
			objects = append(objects, &cache.Object{Inputs: []*cache.Input{in}})
		}
		j := &renderJob{repo: r, stack: &stack{BuildOutput: &cache.BuildOutput{}, answers: []*answer{{}}}, cluster: &fleet.Cluster{Name: "one"}}
		inputs, problems := j.inputs(set, 0, objects)
		if len(inputs) != c.n || (c.want == "") != (len(problems) == 0) || !strings.Contains(problems.Error(), c.want) {
			t.Errorf("answer of %d inputs: count %d, problems %q, want %q", c.n, len(inputs), problems, c.want)
		}
	}
}
