package sources

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
)

// directory is a local directory as a source. It never follows a symbolic link
// out of the directory, but the SOURCE itself may be a link.
type directory struct {
	path   string
	limits Limits

	fetching fetchMutex
	last     *tree
	now      func() time.Time
}

func newDirectory(path string, limits Limits) *directory {
	return &directory{path: path, limits: limits, fetching: newFetchMutex(), now: time.Now}
}

// String returns the absolute path.
func (d *directory) String() string { return d.path }

// Close does nothing.
func (d *directory) Close() error { return nil }

// Fetch reads all files and compares the resulting revision with known. Times
// and sizes are not enough to tell that a file is unchanged.
func (d *directory) Fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	if err := d.fetching.lock(ctx); err != nil {
		return nil, err
	}
	defer d.fetching.unlock()
	t, err := d.readStable(ctx)
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", printable(d.path), asRefused("local", err))
	}
	d.last = t
	revision := localRevision(t)
	if revision == known {
		return nil, nil
	}
	return &fleet.Snapshot{Revision: revision, Tree: t}, nil
}

func (d *directory) read(ctx context.Context) (*tree, error) {
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
	return readDirectory(ctx, root, d.limits, d.last, d.now)
}

// localRevision returns a hash of the tree's content. It does not depend on the
// times of files or the order in which they were listed.
func localRevision(t *tree) string {
	h := sha256.New()
	hashNode(h, "", t.root)
	return "local@sha256:" + hex.EncodeToString(h.Sum(nil))
}

// hashNode writes each part with its length, so different trees never write the
// same bytes.
func hashNode(h hash.Hash, name string, n *node) {
	hashPart(h, []byte(name))
	hashPart(h, []byte(n.mode.String()))
	hashPart(h, n.data)
	if n.err != nil {
		hashPart(h, []byte(n.err.Error()))
	} else {
		hashPart(h, nil)
	}
	for _, child := range n.children {
		hashNode(h, path.Join(name, child.name), child)
	}
}

func hashPart(h hash.Hash, part []byte) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(part)))
	h.Write(length[:])
	h.Write(part)
}
