package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long nothing must happen before a change is told, because
	// editors and checkouts write in several steps.
	quietPeriod = 150 * time.Millisecond
	// settleMost bounds that for a directory that never comes to rest.
	maxQuietWait = 2 * time.Second
	// lookAtRoot is how often the root is looked at. Any name on the way to it
	// may be a symbolic link that is pointed elsewhere, or a mount, and one
	// stat tells of all of that where watches do not.
	rootCheckInterval = 500 * time.Millisecond
)

// Watch calls moved after each change, and once at the start, since it cannot
// tell what changed before. It returns nil when ctx ends, and an error where the
// system lets it watch no more; Fetch works all the same.
//
// The watches are set up afresh for each change. That leaves no state which a
// directory that was renamed, removed or replaced could have made stale, and
// misses nothing: moved is called after they stand.
func (d *directory) Watch(ctx context.Context, moved func()) error {
	for ctx.Err() == nil {
		w, err := newWatcher(d.path, d.limits)
		if err != nil {
			return fmt.Errorf("directory %s: %w", printable(d.path), err)
		}
		moved()
		w.wait(ctx)
		_ = w.events.Close() // It has no buffers, and what it holds it lets go of in any case.
	}
	return nil
}

// watcher waits for the first change of a directory.
type watcher struct {
	path string
	// root is what path stood for; nil where there was nothing.
	root   fs.FileInfo
	events *fsnotify.Watcher
	limits Limits
	files  int
}

func newWatcher(path string, limits Limits) (*watcher, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, explainWatch(err)
	}
	w := &watcher{path: path, events: events, limits: limits}
	w.root, _ = os.Stat(path)
	// Watches follow where path leads now, so that one which is pointed
	// elsewhere meanwhile is not watched half here and half there.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		if err := w.add(real); err != nil {
			_ = events.Close()
			return nil, explainWatch(err)
		}
	}
	return w, nil
}

// add watches dir and all below it. Each directory is watched before it is
// listed, so that nothing can come in between. What vanishes or cannot be read
// is left out; Fetch tells of it.
func (w *watcher) add(dir string) error {
	if err := w.events.Add(dir); errors.Is(err, syscall.ENOSPC) {
		return err
	} else if err != nil {
		return nil
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_NONBLOCK, 0) // It may have become a FIFO.
	if err != nil {
		return nil
	}
	defer f.Close()
	for {
		batch, err := f.ReadDir(readDirBatch)
		for _, entry := range batch {
			if w.files++; w.files > w.limits.Files {
				return tooManyFiles(w.limits)
			}
			if !entry.IsDir() || entry.Name() == ".git" {
				continue
			}
			if err := w.add(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

// wait returns when something has changed and come to rest, or ctx has ended.
func (w *watcher) wait(ctx context.Context) {
	var quiet <-chan time.Time
	var latest time.Time
	changed := func() {
		if quiet == nil {
			latest = time.Now().Add(maxQuietWait)
		}
		quiet = time.After(min(quietPeriod, time.Until(latest)))
	}
	look := time.NewTicker(rootCheckInterval)
	defer look.Stop()
	for {
		select {
		case event := <-w.events.Events:
			if filepath.Base(event.Name) != ".git" {
				changed()
			}
		case <-w.events.Errors: //nolint:errcheck // Such as too many events at once: something has changed.
			changed()
		case <-look.C:
			if w.replaced() {
				return
			}
		case <-quiet:
			return
		case <-ctx.Done():
			return
		}
	}
}

// replaced tells whether path stands for something else than it did.
func (w *watcher) replaced() bool {
	root, err := os.Stat(w.path)
	if err != nil || w.root == nil {
		return (err == nil) != (w.root != nil)
	}
	return !os.SameFile(root, w.root)
}

// explainWatch says what to do about the system's limits, whose own text
// ("no space left on device") sends people looking at their disks.
func explainWatch(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("no inotify watches left; raise fs.inotify.max_user_watches, or rely on polling: %w", err)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("no inotify instances or open files left; raise fs.inotify.max_user_instances or ulimit -n, or rely on polling: %w", err)
	}
	return err
}
