package sources_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/sources"
)

// watched is a directory with a running Watch.
type watched struct {
	t        *testing.T
	dir      string
	source   sources.Source
	moved    chan struct{}
	revision string
}

// watch returns when the watches are set up.
func watch(t *testing.T, dir string) *watched {
	t.Helper()
	w := &watched{t: t, dir: dir, source: open(t, dir), moved: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- w.source.Watch(ctx, func() {
			select {
			case w.moved <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch = %v, want nil", err)
		}
	})
	w.wait("the start")
	return w
}

func (w *watched) wait(what string) {
	w.t.Helper()
	select {
	case <-w.moved:
	case <-time.After(testTimeout):
		w.t.Fatalf("Watch did not notice %s", what)
	}
}

// see waits until a reported change leads to a snapshot in which the file has
// that content; "-" stands for no file.
func (w *watched) see(name, content string) {
	w.t.Helper()
	for {
		w.wait(fmt.Sprintf("%s becoming %q", name, content))
		snapshot, err := w.source.Fetch(deadline(w.t), w.revision)
		if err != nil || snapshot == nil {
			continue // The root may be gone at the moment, or nothing has changed yet.
		}
		w.revision = snapshot.Revision
		got, ok := contents(w.t, snapshot.Tree)[name]
		if !ok {
			got = "-"
		}
		if got == content {
			return
		}
	}
}

func TestWatchSeesFilesWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "base/a.yaml", "one")
	w := watch(t, dir)
	write(t, dir, "base/a.yaml", "two")
	w.see("base/a.yaml", "two")
	write(t, dir, "base/b.yaml", "new")
	w.see("base/b.yaml", "new")
	must(t, os.Remove(filepath.Join(dir, "base/b.yaml")))
	w.see("base/b.yaml", "-")
}

func TestWatchSeesFilesWrittenByRename(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "base/a.yaml", "0")
	w := watch(t, dir)
	for round := range 3 {
		content := fmt.Sprint(round + 1)
		write(t, dir, "base/.a.yaml.swp", content)
		must(t, os.Rename(filepath.Join(dir, "base/.a.yaml.swp"), filepath.Join(dir, "base/a.yaml")))
		w.see("base/a.yaml", content)
	}
}

func TestWatchSeesDirectoriesComeAndGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "fleet.yaml", "one")
	w := watch(t, dir)
	// All of this may exist before the outermost directory is watched.
	write(t, dir, "a/b/c/d.yaml", "one")
	w.see("a/b/c/d.yaml", "one")
	write(t, dir, "a/b/c/d.yaml", "two")
	w.see("a/b/c/d.yaml", "two")

	must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "z")))
	w.see("z/b/c/d.yaml", "two")
	write(t, dir, "z/b/c/d.yaml", "three")
	w.see("z/b/c/d.yaml", "three")

	must(t, os.RemoveAll(filepath.Join(dir, "z/b")))
	w.see("z/b/c/d.yaml", "-")
	write(t, dir, "z/b/c/d.yaml", "four")
	w.see("z/b/c/d.yaml", "four")
	write(t, dir, "z/b/c/d.yaml", "five")
	w.see("z/b/c/d.yaml", "five")
}

func TestWatchSeesRootReplaced(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "fleet")
	write(t, dir, "fleet.yaml", "one")
	w := watch(t, dir)
	for round := range 3 {
		must(t, os.RemoveAll(dir))
		content := fmt.Sprint(round)
		write(t, dir, "fleet.yaml", content)
		w.see("fleet.yaml", content)
		write(t, dir, "fleet.yaml", content+"!")
		w.see("fleet.yaml", content+"!")
	}
	must(t, os.Rename(dir, dir+".old"))
	write(t, dir, "fleet.yaml", "new")
	w.see("fleet.yaml", "new")
}

func TestWatchSeesRootAppear(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "yet")
	w := watch(t, dir)
	write(t, dir, "fleet.yaml", "one")
	w.see("fleet.yaml", "one")
	write(t, dir, "fleet.yaml", "two")
	w.see("fleet.yaml", "two")
}

func TestWatchSeesLinkToRootPointedElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, version := range []string{"v1", "v2", "v3"} {
		write(t, dir, version+"/sub/fleet.yaml", version)
	}
	link := filepath.Join(dir, "current")
	must(t, os.Symlink("v1", link))
	w := watch(t, filepath.Join(link, "sub"))
	for _, version := range []string{"v2", "v3", "v1"} {
		point(t, link, version)
		w.see("fleet.yaml", version)
		write(t, dir, version+"/sub/fleet.yaml", version+"!")
		w.see("fleet.yaml", version+"!")
	}
}

func TestWatchSeesConfigMapUpdated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "..v0/fleet.yaml", "0")
	must(t, os.Symlink("..v0", filepath.Join(dir, "..data")))
	must(t, os.Symlink("..data/fleet.yaml", filepath.Join(dir, "fleet.yaml")))
	w := watch(t, dir)
	for round := range 3 {
		old, data := fmt.Sprintf("..v%d", round), fmt.Sprintf("..v%d", round+1)
		write(t, dir, data+"/fleet.yaml", fmt.Sprint(round+1))
		point(t, filepath.Join(dir, "..data"), data)
		must(t, os.RemoveAll(filepath.Join(dir, old)))
		w.see(old+"/fleet.yaml", "-")
		snapshot := fetch(t, w.source, "")
		if got, want := read(t, snapshot.Tree, "fleet.yaml"), fmt.Sprint(round+1); got != want {
			t.Errorf("fleet.yaml = %q, want %q", got, want)
		}
	}
}

// TestWatchReportsWhileChangesContinue uses a directory that changes all the time.
func TestWatchReportsWhileChangesContinue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "fleet.yaml", "one")
	w := watch(t, dir)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				_ = os.WriteFile(filepath.Join(dir, "log"), []byte(fmt.Sprint(i)), 0o644)
			}
		}
	}()
	w.wait("a change while changes went on")
}

func TestWatchFailsWithTooManyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name := range many(30) {
		write(t, dir, name, "")
	}
	s := openWith(t, dir, sources.Limits{Files: 20})
	err := s.Watch(deadline(t), func() {})
	wantText(t, err, dir, "more than 20 files")
}
