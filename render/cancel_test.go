package render_test

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/render"
)

// slowTree is a tree in which the second read of a file, which is that of kustomize, waits.
type slowTree struct {
	fstest.MapFS
	file    string
	reads   *atomic.Int64
	reached chan bool
	release chan bool
}

func (s slowTree) ReadFile(name string) ([]byte, error) {
	if name == s.file && s.reads.Add(1) == 2 {
		close(s.reached)
		<-s.release
	}
	return s.MapFS.ReadFile(name)
}

func (s slowTree) Open(name string) (fs.File, error) { return s.MapFS.Open(name) }

// TestCompileEndsWithItsContext cancels a build while kustomize, which cannot be stopped, is
// at work. The next build waits for it, or ends with its own context.
func TestCompileEndsWithItsContext(t *testing.T) {
	t.Parallel()
	tree := slowTree{small(apps(3, "a: b")), "base/all.yaml", new(atomic.Int64), make(chan bool), make(chan bool)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-tree.reached
		cancel()
	}()
	if _, err := (render.Renderer{}).Compile(ctx, tree); !errors.Is(err, context.Canceled) {
		t.Errorf("Compile() = %v, want the end of the context", err)
	}
	close(tree.release)
	if got := problemsOf(t, small(apps(3, "a: b"))); got != "" {
		t.Errorf("problems of the next build = %s, want none", got)
	}
}

// TestRenderEndsWithItsContext has a cluster that is not rendered, and nothing that is
// remembered of it.
func TestRenderEndsWithItsContext(t *testing.T) {
	t.Parallel()
	tree := small(apps(3, "a: b"))
	file := tree["clusters/one.yaml"]
	file.Data = append(file.Data, "spec:\n  patches:\n  - {target: {kind: App}, options: {allowNameChange: true}, patch: '[{\"op\": \"add\", \"path\": \"/spec/x\", \"value\": 1}]'}\n"...)
	repo, err := render.Renderer{}.Compile(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	c := repo.Clusters()[0]
	if rendering, _ := repo.Render(ended, c, nil, nil); rendering != nil {
		t.Error("a rendering after the end of its context")
	}
	if rendering, problems := repo.Render(t.Context(), c, nil, nil); rendering == nil {
		t.Errorf("problems of the next rendering = %v", problems)
	}
}
