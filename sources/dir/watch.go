package dir

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
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

const (
	// quietPeriod is how long nothing must change before a change is reported,
	// because editors and checkouts write in several steps.
	quietPeriod = 150 * time.Millisecond
	// maxQuietWait is the longest wait for a quiet period in a directory that
	// changes all the time.
	maxQuietWait = 2 * time.Second
	// rootCheckInterval is how often the root is checked. Any element of its
	// path may be a symbolic link that is changed, or a mount. One stat detects
	// all of that, and watches do not.
	rootCheckInterval = 500 * time.Millisecond
)

// Watch calls changed after each change, and once at the start, because earlier
// changes are unknown. It returns nil when ctx ends, and an error if the system
// allows no more watches; Fetch works regardless.
//
// The watches are set up again after each change. So there is no state that a
// renamed, removed or replaced directory could make stale. No change is missed,
// because changed is called after the watches are set up.
func (d *Directory) Watch(ctx context.Context, changed func()) error {
	for ctx.Err() == nil {
		w, err := newWatcher(d.path, d.limits)
		if err != nil {
			return fmt.Errorf("directory %s: %w", message.Printable(d.path), err)
		}
		changed()
		w.wait(ctx)
		_ = w.events.Close() // The error does not matter: the watcher is not used any more.
	}
	return nil
}

// watcher waits for the first change of a directory.
type watcher struct {
	path string
	// root is the file that path led to; nil if there was none.
	root   fs.FileInfo
	events *fsnotify.Watcher
	limits tree.Limits
	files  int
}

func newWatcher(path string, limits tree.Limits) (*watcher, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, explainWatch(err)
	}
	w := &watcher{path: path, events: events, limits: limits}
	w.root, _ = os.Stat(path)
	// The watches are set up below the resolved path, so a link that changes
	// meanwhile does not mix two directories.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		if err := w.add(real); err != nil {
			_ = events.Close()
			return nil, explainWatch(err)
		}
	}
	return w, nil
}

// add watches dir and everything below it. Each directory is watched before it
// is listed, so no change in between is missed. Directories that vanish or
// cannot be read are left out; Fetch reports them.
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
		batch, err := f.ReadDir(batchSize)
		for _, entry := range batch {
			if w.files++; w.files > w.limits.Files {
				return tree.TooManyFiles(w.limits)
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

// wait returns when something has changed and the quiet period is over, or when
// ctx has ended.
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

// replaced reports whether path leads to another file than before.
func (w *watcher) replaced() bool {
	root, err := os.Stat(w.path)
	if err != nil || w.root == nil {
		return (err == nil) != (w.root != nil)
	}
	return !os.SameFile(root, w.root)
}

// explainWatch explains the system's limits, whose own text ("no space left on
// device") is misleading.
func explainWatch(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("no inotify watches left; raise fs.inotify.max_user_watches, or rely on polling: %w", err)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("no inotify instances or open files left; raise fs.inotify.max_user_instances or ulimit -n, or rely on polling: %w", err)
	}
	return err
}
