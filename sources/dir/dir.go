// Package dir reads a directory of this machine, and watches it.
//
//	directory := dir.New("/srv/fleet", limits, nil)
//	snapshot, err := directory.Fetch(ctx, known)
//
// A snapshot is a state that existed: a directory that changes while it is read
// is read again. No symbolic link leads out of it.
package dir

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
	"golang.org/x/sync/semaphore"
)

// Directory is a local directory as a source. It never follows a symbolic link
// out of the directory, but the SOURCE itself may be a link.
type Directory struct {
	path   string
	limits tree.Limits
	// keep reports whether a file, or a directory with files, is read; nil for
	// all.
	keep func(name string) bool

	fetching *semaphore.Weighted
	last     *tree.Tree
	now      func() time.Time
}

// New returns a directory as a source. keep reports whether a file, or a
// directory with files, is read; nil for all.
func New(path string, limits tree.Limits, keep func(name string) bool) *Directory {
	return &Directory{path: path, limits: limits.OrDefaults(), keep: keep, fetching: semaphore.NewWeighted(1), now: time.Now}
}

// String returns the absolute path.
func (d *Directory) String() string { return d.path }

// Close does nothing.
func (d *Directory) Close() error { return nil }

// Fetch reads all files and compares the resulting revision with known. Times
// and sizes are not enough to tell that a file is unchanged.
func (d *Directory) Fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	t, _, err := d.Read(ctx, tree.IgnoreFile)
	if err != nil {
		return nil, err
	}
	revision := Revision(t)
	if revision == known {
		return nil, nil
	}
	return &fleet.Snapshot{Revision: revision, Tree: t}, nil
}

// Read reads all files. It also returns the names of those that ignore files
// name or Flux leaves out by default.
func (d *Directory) Read(ctx context.Context, ignoreFiles ...string) (t *tree.Tree, ignored []string, err error) {
	if err := d.fetching.Acquire(ctx, 1); err != nil {
		return nil, nil, err
	}
	defer d.fetching.Release(1)
	t, err = d.readStable(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("directory %s: %w", message.Printable(d.path), tree.Refused("local", err))
	}
	d.last = t
	t, ignored = t.Ignore(nil, ignoreFiles...)
	return t, ignored, nil
}

func (d *Directory) read(ctx context.Context) (*tree.Tree, error) {
	// With the slash, a FIFO is an error instead of blocking until there is a
	// writer.
	root, err := os.OpenRoot(d.path + "/")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("does not exist; create it or name another: %w", fleet.ErrNotFound)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("cannot be read; give this process permission: %w", fleet.ErrForbidden)
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("is not a directory; name the one that contains fleet.yaml: %w", fleet.ErrInvalid)
	case err != nil:
		return nil, err
	}
	defer root.Close()
	return readAll(ctx, root, d.keep, d.limits, d.last, d.now)
}

// Revision returns a hash of the tree's content. It does not depend on the
// times of files or the order in which they were listed.
func Revision(t *tree.Tree) string {
	h := sha256.New()
	hashNode(h, "", t.Root)
	return "local@sha256:" + hex.EncodeToString(h.Sum(nil))
}

// hashNode writes each part with its length, so different trees never write the
// same bytes.
func hashNode(h hash.Hash, name string, n *tree.Node) {
	hashPart(h, []byte(name))
	hashPart(h, []byte(n.Mode.String()))
	hashPart(h, n.Data)
	if n.Err != nil {
		hashPart(h, []byte(n.Err.Error()))
	} else {
		hashPart(h, nil)
	}
	for _, child := range n.Children {
		hashNode(h, path.Join(name, child.Base), child)
	}
}

func hashPart(h hash.Hash, part []byte) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(part)))
	h.Write(length[:])
	h.Write(part)
}
