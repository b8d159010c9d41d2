package cache

import (
	"io/fs"
	"testing"
	"testing/fstest"
)

// TestRecorderMatchesTreesWithTheSameAnswers changes what was asked about and what was
// not.
func TestRecorderMatchesTreesWithTheSameAnswers(t *testing.T) {
	t.Parallel()
	newTree := func() fstest.MapFS {
		return fstest.MapFS{
			"a.yaml": {Data: []byte("a")}, "b.yaml": {Data: []byte("b")},
			"link": {Data: []byte("a.yaml"), Mode: fs.ModeSymlink}, "dir/c.yaml": {Data: []byte("c")},
		}
	}
	r := NewRecorder(newTree())
	_, _ = r.ReadFile("a.yaml")
	_, _ = r.ReadLink("link")
	_, _ = r.Stat("dir")
	_, _ = r.Stat("absent")
	r.Release()
	for name, c := range map[string]struct {
		change func(fstest.MapFS)
		want   bool
	}{
		"nothing":            {func(fstest.MapFS) {}, true},
		"another file":       {func(m fstest.MapFS) { m["b.yaml"].Data = []byte("c") }, true},
		"a directory grows":  {func(m fstest.MapFS) { m["dir/d.yaml"] = &fstest.MapFile{} }, true},
		"the file":           {func(m fstest.MapFS) { m["a.yaml"].Data = []byte("b") }, false},
		"the link":           {func(m fstest.MapFS) { m["link"].Data = []byte("b.yaml") }, false},
		"no directory":       {func(m fstest.MapFS) { delete(m, "dir/c.yaml") }, false},
		"what was not there": {func(m fstest.MapFS) { m["absent"] = &fstest.MapFile{} }, false},
	} {
		tree := newTree()
		c.change(tree)
		if got := r.Matches(tree); got != c.want {
			t.Errorf("%s: Matches = %v, want %v", name, got, c.want)
		}
	}
}
