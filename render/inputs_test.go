package render

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/cache"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// TestTooManyInputsAreAFault calls inputs itself, because a build of so many objects is
// refused for the time that it would take.
func TestTooManyInputsAreAFault(t *testing.T) {
	t.Parallel()
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

// TestAnswerIsItsInputs checks that the inputs of a rendering, with the cluster's
// identity, are exactly the bytes of the answer, so that comparing inputs compares what
// is served.
func TestAnswerIsItsInputs(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	forSeeds(t, 60, func(t *testing.T, seed uint64) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 11))}
		files, cluster := g.fleet()
		rendering, _ := compiled(t, files).Render(context.Background(), cluster, nil, nil)
		if rendering == nil {
			return
		}
		served.Add(1)
		identity, err := yamltext.EncodeJSON(cluster.Identity())
		if err != nil {
			t.Fatal(err)
		}
		for name, set := range rendering.Inputs {
			if got := written(set.Inputs, identity); !bytes.Equal(got, set.JSON()) || set.Size() != len(got) {
				t.Fatalf("inputs of set %q are\n%s\nwant\n%s", name, got, set.JSON())
			}
			checkIDs(t, set)
		}
	})
	if served.Load() < 10 {
		t.Errorf("only %d of the generated clusters are served", served.Load())
	}
}

func written(inputs []*fleet.Input, identity []byte) []byte {
	b := []byte(`{"inputs":[`)
	for i, in := range inputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = in.AppendTo(b, identity)
	}
	return append(b, "]}"...)
}

func checkIDs(t *testing.T, set *fleet.Answer) {
	t.Helper()
	var answer struct{ Inputs []struct{ ID string } }
	if err := json.Unmarshal(set.JSON(), &answer); err != nil {
		t.Fatal(err)
	}
	for i, in := range answer.Inputs {
		if in.ID != set.Inputs[i].ID {
			t.Errorf("input %d has the id %q and says %q", i, in.ID, set.Inputs[i].ID)
		}
	}
}
