package render_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// explosive panics when a file is read, as a library may on what is in it.
type explosive struct {
	fstest.MapFS
	name string
}

func (e explosive) ReadFile(name string) ([]byte, error) {
	if name == e.name {
		panic("boom")
	}
	return e.MapFS.ReadFile(name)
}

var _ fs.ReadFileFS = explosive{}

func TestPanicIsAFaultAndNotTheEndOfTheProcess(t *testing.T) {
	for _, name := range []string{"fleet.yaml", "clusters/one.yaml", "base/kustomization.yaml", "base/all.yaml"} {
		got := problemsOf(t, explosive{small(apps(1, "a: b")), name})
		if !strings.Contains(got, "boom") {
			t.Errorf("problems where %s explodes = %q, want them to say so", name, got)
		}
	}
}
