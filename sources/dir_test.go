package sources_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// write writes a file and creates its directories.
func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

// settled gives everything in a directory old modification times, so that
// readers do not wait for it to settle.
func settled(t testing.TB, dir string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type() == fs.ModeSymlink {
			return err
		}
		return os.Chtimes(path, old, old)
	}))
}

func TestDirectoryHasRevision(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "fleet.yaml", "one")
	write(t, dir, "base/a.yaml", "a")
	s := open(t, dir)
	snapshot := fetch(t, s, "")
	if !regexp.MustCompile(`^local@sha256:[0-9a-f]{64}$`).MatchString(snapshot.Revision) {
		t.Errorf("Revision = %q, want local@sha256: and 64 digits", snapshot.Revision)
	}
	wantContents(t, snapshot.Tree, map[string]string{"fleet.yaml": "one", "base/a.yaml": "a"})
	fetchNothing(t, s, snapshot.Revision)
	fetchNothing(t, open(t, dir), snapshot.Revision)
}

// TestDirectoryRevisionDependsOnContentOnly writes the same tree in another order,
// at another time and place, and then makes one change after another.
func TestDirectoryRevisionDependsOnContentOnly(t *testing.T) {
	t.Parallel()
	a, b := t.TempDir(), t.TempDir()
	write(t, a, "fleet.yaml", "one")
	write(t, a, "base/a.yaml", "a")
	write(t, b, "base/a.yaml", "a")
	write(t, b, "fleet.yaml", "one")
	must(t, os.Chtimes(filepath.Join(b, "base/a.yaml"), time.Unix(1, 0), time.Unix(1, 0)))
	must(t, os.Chmod(filepath.Join(b, "fleet.yaml"), 0o600))
	must(t, os.Mkdir(filepath.Join(b, "hollow"), 0o755))
	write(t, b, ".git/HEAD", "ref: refs/heads/main")
	write(t, b, "base/.git", "gitdir: elsewhere")
	revision := fetch(t, open(t, a), "").Revision
	fetchNothing(t, open(t, b), revision)

	seen := map[string]string{revision: "nothing"}
	for what, change := range map[string]func(){
		"content":    func() { write(t, b, "fleet.yaml", "two") },
		"executable": func() { must(t, os.Chmod(filepath.Join(b, "fleet.yaml"), 0o755)) },
		"new file":   func() { write(t, b, "base/b.yaml", "") },
		"new name":   func() { must(t, os.Rename(filepath.Join(b, "base/a.yaml"), filepath.Join(b, "base/c.yaml"))) },
		"link":       func() { must(t, os.Symlink("fleet.yaml", filepath.Join(b, "link"))) },
		"moved text": func() { write(t, b, "x", "yz"); write(t, b, "xy", "z") },
	} {
		change()
		revision := fetch(t, open(t, b), "").Revision
		if before, ok := seen[revision]; ok {
			t.Errorf("after %s the revision is the same as after %s", what, before)
		}
		seen[revision] = what
	}
}

func TestDirectorySharesWhatDidNotChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a/same", "content")
	write(t, dir, "b", "content")
	s := open(t, dir)
	before := fetch(t, s, "")
	write(t, dir, "a/same", "content") // Written again, so only its content shows that it is the same.
	write(t, dir, "b", "CONTENT")
	after := fetch(t, s, before.Revision)
	wantShared(t, before.Tree, after.Tree, "a/same", true)
	wantShared(t, before.Tree, after.Tree, "b", false)
	wantContents(t, before.Tree, map[string]string{"a/same": "content", "b": "content"})
	wantContents(t, after.Tree, map[string]string{"a/same": "content", "b": "CONTENT"})
}

func TestDirectorySnapshotOutlivesFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "fleet.yaml", "one")
	s := open(t, dir)
	snapshot := fetch(t, s, "")
	must(t, s.Close())
	must(t, os.RemoveAll(dir))
	wantContents(t, snapshot.Tree, map[string]string{"fleet.yaml": "one"})
}

func TestDirectoryMayBeALink(t *testing.T) {
	t.Parallel()
	dir, link := t.TempDir(), filepath.Join(t.TempDir(), "current")
	write(t, dir, "v1/fleet.yaml", "one")
	write(t, dir, "v2/fleet.yaml", "two")
	must(t, os.Symlink(filepath.Join(dir, "v1"), link))
	s := open(t, link)
	before := fetch(t, s, "")
	wantContents(t, before.Tree, map[string]string{"fleet.yaml": "one"})
	point(t, link, filepath.Join(dir, "v2"))
	wantContents(t, fetch(t, s, before.Revision).Tree, map[string]string{"fleet.yaml": "two"})
}

// point replaces a link atomically, as git-sync and Kubernetes do.
func point(t *testing.T, link, target string) {
	t.Helper()
	must(t, os.Symlink(target, link+".new"))
	must(t, os.Rename(link+".new", link))
}

func TestDirectoryThatDoesNotExist(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "file", "")
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	for name, want := range map[string]error{"missing": fleet.ErrNotFound, "file": fleet.ErrInvalid, "fifo": fleet.ErrInvalid} {
		path := filepath.Join(dir, name)
		if err := fetchError(t, open(t, path), path); !errors.Is(err, want) {
			t.Errorf("%s: error = %v, want %v", name, err, want)
		}
	}
}

// TestDirectoryOpensOnlyRegularFiles would hang if the FIFO were opened.
func TestDirectoryOpensOnlyRegularFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "fleet.yaml", "one")
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo.yaml"), 0o644))
	must(t, os.Symlink("/dev/zero", filepath.Join(dir, "device")))
	tree := fetch(t, open(t, dir), "").Tree
	if got := read(t, tree, "fleet.yaml"); got != "one" {
		t.Errorf("fleet.yaml = %q, want one", got)
	}
	wantUnreadable(t, tree, "fifo.yaml", "fifo.yaml: is not a regular file")
	wantUnreadable(t, tree, "device", "device: symbolic link to /dev/zero leads out")
}

func TestDirectoryReportsUnreadableFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	write(t, dir, "fleet.yaml", "one")
	write(t, dir, "secret.yaml", "two")
	write(t, dir, "lost+found/x", "three")
	must(t, os.Chmod(filepath.Join(dir, "secret.yaml"), 0))
	must(t, os.Chmod(filepath.Join(dir, "lost+found"), 0))
	asNobody(t, func() {
		tree := fetch(t, open(t, dir), "").Tree
		if got := read(t, tree, "fleet.yaml"); got != "one" {
			t.Errorf("fleet.yaml = %q, want one", got)
		}
		wantUnreadable(t, tree, "secret.yaml", "secret.yaml: cannot be read", "permission")
		wantUnreadable(t, tree, "lost+found", "lost+found: cannot be read", "permission")
		wantUnreadable(t, tree, "lost+found/x", "lost+found: cannot be read")
	})
	must(t, os.Chmod(filepath.Join(dir, "lost+found"), 0o755))
}

// asNobody runs f without root's permission to read everything.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
		if err := syscall.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestDirectoryLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files  map[string]string
		limits sources.Limits
		want   []string
	}{
		"large tree": {map[string]string{"a": noise(900), "b": noise(900)}, sources.Limits{TreeSize: 1000}, []string{": with this file", "1000 bytes"}},
		"many files": {many(30), sources.Limits{Files: 20}, []string{"more than 20 files"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range c.files {
				write(t, dir, name, content)
			}
			if err := fetchError(t, openWith(t, dir, c.limits), c.want...); !errors.Is(err, fleet.ErrInvalid) {
				t.Errorf("error = %v, want a fleet.ErrInvalid", err)
			}
		})
	}
}

func TestDirectoryNeverReadsALargeFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "huge.bin", "")
	must(t, os.Truncate(filepath.Join(dir, "huge.bin"), 1<<40))
	fetchFault(t, open(t, dir), "huge.bin: is larger than 16 MiB")
}

func TestDirectoryEndsWithContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "fleet.yaml", "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, dir).Fetch(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch = %v, want context.Canceled", err)
	}
}

// TestDirectorySnapshotIsNeverTorn replaces the directory's content, as
// Kubernetes does with a ConfigMap, while it is read.
func TestDirectorySnapshotIsNeverTorn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const files = 20
	mount := func(version int) {
		data := fmt.Sprintf("..v%d", version)
		for i := range files {
			write(t, dir, filepath.Join(data, fmt.Sprint(i)), fmt.Sprint(version))
		}
		point(t, filepath.Join(dir, "..data"), data)
		if version > 0 {
			must(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..v%d", version-1))))
		}
	}
	mount(0)
	for i := range files {
		must(t, os.Symlink(fmt.Sprintf("..data/%d", i), filepath.Join(dir, fmt.Sprint(i))))
	}
	s := open(t, dir)
	wantVersion := func(snapshot *fleet.Snapshot, possible ...int) {
		t.Helper()
		version := read(t, snapshot.Tree, "0")
		if n, err := strconv.Atoi(version); err != nil || !slices.Contains(possible, n) {
			t.Fatalf("file 0 is of version %s, want one of %v", version, possible)
		}
		for i := range files {
			if got := read(t, snapshot.Tree, fmt.Sprint(i)); got != version {
				t.Fatalf("file %d is of version %s and file 0 of version %s", i, got, version)
			}
		}
	}
	for version := 1; version <= 6; version++ {
		var mounter sync.WaitGroup
		mounter.Go(func() { mount(version) })
		snapshot, err := s.Fetch(deadline(t), "")
		mounter.Wait()
		if err != nil {
			wantText(t, err, "keeps changing")
		} else {
			wantVersion(snapshot, version-1, version)
		}
		settled(t, dir)
		wantVersion(fetch(t, s, ""), version)
	}
}

// hookContext is a context that calls a function the nth time it is asked for its
// error. The reader of a directory asks between any two files.
type hookContext struct {
	context.Context
	n  int
	do func()
}

func (m *hookContext) Err() error {
	if m.n--; m.n == 0 {
		m.do()
	}
	return m.Context.Err()
}

// TestDirectoryIsReadAgainIfItChanges makes a change at each step of a read.
func TestDirectoryIsReadAgainIfItChanges(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(dir string){
		"write": func(dir string) {
			for _, name := range []string{"a", "d/b", "d/c"} {
				write(t, dir, name, "two!")
			}
		},
		"rename": func(dir string) { // The size and the names stay the same.
			for _, name := range []string{"a", "d/b", "d/c"} {
				write(t, dir, name+".new", "TWO")
				must(t, os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)))
			}
		},
		"remove": func(dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "d")))
			must(t, os.Remove(filepath.Join(dir, "a")))
		},
		"fifo": func(dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "d")))
			must(t, os.Remove(filepath.Join(dir, "a")))
			must(t, syscall.Mkfifo(filepath.Join(dir, "d"), 0o644))
			must(t, syscall.Mkfifo(filepath.Join(dir, "a"), 0o644))
		},
		"way out": func(dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "d")))
			must(t, os.Remove(filepath.Join(dir, "a")))
			must(t, os.Symlink("/etc", filepath.Join(dir, "d")))
			must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "a")))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				dir := t.TempDir()
				for _, name := range []string{"a", "d/b", "d/c"} {
					write(t, dir, name, "one")
				}
				settled(t, dir)
				before := fetch(t, open(t, dir), "").Revision
				ctx := &hookContext{deadline(t), n, func() { change(dir) }}
				snapshot, err := open(t, dir).Fetch(ctx, "")
				must(t, err)
				if ctx.n > 0 {
					break // The read ended before the change.
				}
				// A read that ended before the change may return the old state.
				if got := snapshot.Revision; got != before {
					fetchNothing(t, open(t, dir), got)
				}
			}
		})
	}
}

func TestDirectoryThatChangesAllTheTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "log", "")
	s := open(t, dir)
	busy := &writingContext{Context: deadline(t), file: filepath.Join(dir, "log")}
	_, err := s.Fetch(busy, "")
	wantText(t, err, "log: keeps changing while it is read")
	fetch(t, s, "")
}

// writingContext is a context that appends to a file each time it is asked for its
// error.
type writingContext struct {
	context.Context
	file string
}

func (w *writingContext) Err() error {
	f, err := os.OpenFile(w.file, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("x")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return err
	}
	return w.Context.Err()
}

func TestDirectoryIsReadOnlyToItsReaders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "fleet.yaml", "one")
	info, err := fs.Stat(fetch(t, open(t, dir), "").Tree, "fleet.yaml")
	must(t, err)
	if info.Mode() != 0o444 || !info.ModTime().IsZero() {
		t.Errorf("fleet.yaml has mode %v and time %v, want -r--r--r-- and none", info.Mode(), info.ModTime())
	}
}
