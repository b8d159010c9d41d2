package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestMoreInputsThanTheClientAdmitsIsAFault calls answer itself, because a
// build of so many objects is refused for the time it would take.
func TestMoreInputsThanTheClientAdmitsIsAFault(t *testing.T) {
	set := &inputSet{Name: "apps"}
	r := &Repo{sets: []*inputSet{set}}
	for _, c := range []struct {
		n    int
		want string
	}{
		{fleet.MaxInputs, ""},
		{fleet.MaxInputs + 1, "has 10001 inputs, and the client takes at most 10000"},
	} {
		var objects []*object
		for i := range c.n {
			in := &input{Input: fleet.Input{ID: fmt.Sprintf("%05d", i)}}
			in.Tail = fmt.Appendf(nil, `"id":%q`, in.ID)
			objects = append(objects, &object{inputs: []*input{in}})
		}
		w := &work{repo: r, stack: &stack{built: &built{answers: []*answer{{}}}}, cluster: &fleet.Cluster{Name: "one"}}
		inputs, problems := w.inputs(set, 0, objects)
		if len(inputs) != c.n || (c.want == "") != (len(problems) == 0) || !strings.Contains(problems.Error(), c.want) {
			t.Errorf("answer of %d inputs: count %d, problems %q, want %q", c.n, len(inputs), problems, c.want)
		}
	}
}
