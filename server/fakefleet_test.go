package server_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
)

// source is a fleet.Source in memory.
type source struct {
	mu       sync.Mutex
	snapshot *fleet.Snapshot
	err      error
	looks    int
	gate     chan struct{} // if not nil, each Fetch receives from it before it returns
}

func (s *source) String() string { return "memory:fleet" }

func (s *source) Fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	s.mu.Lock()
	s.looks++
	s.mu.Unlock()
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.snapshot == nil || s.snapshot.Revision == known {
		return nil, s.err
	}
	return s.snapshot, nil
}

func (s *source) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

func (s *source) Watch(context.Context, func()) error { return nil }

func (s *source) set(revision string, content repo, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	if err == nil {
		text, _ := json.Marshal(content)
		s.snapshot = &fleet.Snapshot{Revision: revision, Tree: fstest.MapFS{"fleet.json": {Data: text}}}
	}
}

// repo is a fleet repo in the simplest form: one file that lists what is rendered.
type repo struct {
	fleet.Repo `json:"-"` // nil: the other methods are not used
	InputSets  []string
	Faults     fleet.Problems
	Members    []member
	Templates  []fleet.Object // ResourceSets
	renderer   *renderer
}

type member struct {
	Cluster *fleet.Cluster
	Inputs  map[string][]map[string]any
	Objects []map[string]any
	Padding int // bytes to add to each input
}

// renderer is a fleet.Renderer of repos.
type renderer struct {
	fleet.Renderer             // nil: deltas need the real renderer
	panics         atomic.Bool // from the next rendering on
}

func (r *renderer) Compile(_ context.Context, tree fs.FS) (fleet.Repo, error) {
	content := &repo{renderer: r}
	text, err := fs.ReadFile(tree, "fleet.json")
	if err == nil {
		err = json.Unmarshal(text, content)
	}
	if err != nil {
		content.Faults = fleet.Problems{{File: "fleet.json", Message: err.Error()}}
	}
	return content, nil
}

func (r *repo) Sets() []string { return r.InputSets }

func (r *repo) ResourceSets() []fleet.Object { return r.Templates }

func (r *repo) Clusters() []*fleet.Cluster {
	var all []*fleet.Cluster
	for _, m := range r.Members {
		all = append(all, m.Cluster)
	}
	return all
}

func (r *repo) Problems() fleet.Problems { return r.Faults }

func (r *repo) Failed() bool { return len(r.Faults.Faults()) > 0 }

func (r *repo) Broken() map[string]fleet.Problem { return nil }

func (r *repo) Unread() map[string]fleet.Problem { return nil }

func (r *repo) Guard() fleet.Guard { return fleet.DefaultGuard() }

func (r *repo) Providers() []fleet.ProviderRule { return nil }

func (r *repo) Waves() []fleet.WaveRule { return nil }
func (r *repo) CommitURL() string       { return "" }

func (r *repo) Render(_ context.Context, c *fleet.Cluster, _ []*fleet.Delta, _ *fleet.Rendering) (*fleet.Rendering, fleet.Problems) {
	if r.renderer.panics.Load() {
		panic("told to")
	}
	for _, m := range r.Members {
		if m.Cluster.Name == c.Name {
			return m.render(), nil
		}
	}
	return nil, fleet.Problems{{Cluster: c.Name, Message: "is not there"}}
}

func (m member) render() *fleet.Rendering {
	out := &fleet.Rendering{
		Placement: fleet.Placement{Overlay: "overlays/" + m.Cluster.Labels["environment"], Components: m.Cluster.Components},
		Inputs:    map[string]*fleet.Answer{},
	}
	identity, _ := json.Marshal(m.Cluster.Identity())
	for set, inputs := range m.Inputs {
		var answer []*fleet.Input
		for i := range inputs {
			inputs[i] = maps.Clone(inputs[i])
			if m.Padding > 0 {
				inputs[i]["padding"] = strings.Repeat("x", m.Padding)
			}
			answer = append(answer, inputOf(inputs[i]))
		}
		out.Inputs[set] = fleet.NewAnswer(answer, identity)
	}
	var all objects
	for _, o := range m.Objects {
		text, _ := json.Marshal(o)
		metadata := o["metadata"].(map[string]any)
		namespace, _ := metadata["namespace"].(string)
		all = append(all, fleet.Object{
			APIVersion: o["apiVersion"].(string), Kind: o["kind"].(string),
			Namespace: namespace, Name: metadata["name"].(string), JSON: text,
		})
	}
	out.Cache = all
	return out
}

// objects are those of a rendered cluster.
type objects []fleet.Object

func (o objects) Objects(wanted func(fleet.Object) bool) []fleet.Object {
	return slices.DeleteFunc(slices.Clone(o), func(one fleet.Object) bool { return wanted != nil && !wanted(one) })
}

// inputOf returns an input as the renderer makes it, in the parts before and after the
// cluster's block.
func inputOf(values map[string]any) *fleet.Input {
	in := &fleet.Input{ID: values["id"].(string)}
	head, tail := map[string]any{}, map[string]any{}
	for key, value := range values {
		if key < "cluster" {
			head[key] = value
		} else {
			tail[key] = value
		}
	}
	in.Head, _ = json.Marshal(head)
	in.Tail, _ = json.Marshal(tail)
	in.Head, in.Tail = in.Head[1:len(in.Head)-1], in.Tail[1:len(in.Tail)-1]
	return in
}

// acme returns a small fleet in which every input names its revision.
func acme(revision string) repo {
	r := repo{InputSets: []string{"platform-components", "rolebindings"}}
	for _, c := range []*fleet.Cluster{
		{Name: "eu-dev-01", Labels: map[string]string{"environment": "dev", "region": "eu"}, File: "clusters/eu-dev-01.yaml"},
		{Name: "eu-prod-01", DNS: "eu-prod-01.k8s.example.com", Labels: map[string]string{"environment": "prod", "region": "eu"},
			Components: []string{"components/gpu"}, File: "clusters/eu-prod-01.yaml"},
		{Name: "us-prod-01", DNS: "us-prod-01.k8s.example.com", Labels: map[string]string{"environment": "prod", "region": "us"}},
	} {
		r.Members = append(r.Members, member{
			Cluster: c,
			Inputs: map[string][]map[string]any{
				"platform-components": {{"id": "cert-manager", "revision": revision}, {"id": "keda", "revision": revision}},
				"rolebindings":        {},
			},
			Objects: []map[string]any{
				object("platform.example.com/v1", "PlatformComponent", "", "keda"),
				object("v1", "Service", "web", "podinfo"),
				object("v1", "Service", "api", "podinfo"),
				object("networking.k8s.io/v1", "Ingress", "web", "podinfo"),
				object("traefik.io/v1", "Ingress", "web", "podinfo"),
			},
		})
	}
	return r
}

func object(apiVersion, kind, namespace, name string) map[string]any {
	metadata := map[string]any{"name": name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	return map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "spec": map[string]any{"note": "<&>"}}
}
