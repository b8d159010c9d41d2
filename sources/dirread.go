package sources

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"
)

// readDirBatch is the number of directory entries that are read at a time, so a
// directory of millions costs no more memory than the limit allows.
const readDirBatch = 512

// dirReader reads a directory into a tree. It accesses everything by names
// relative to root, so a link that is swapped in meanwhile cannot lead it
// outside, and a FIFO cannot block it.
type dirReader struct {
	ctx    context.Context
	root   *os.Root
	budget budget
	now    func() time.Time
	// seen is the state of each entry before it was read.
	seen   []entryState
	buffer []byte
}

// readDirectory reads root. Files that are unchanged since last, which may be
// nil, share its memory.
func readDirectory(ctx context.Context, root *os.Root, limits Limits, last *tree, now func() time.Time) (*tree, error) {
	r := &dirReader{ctx: ctx, root: root, now: now, budget: budget{limits: limits}}
	if last == nil {
		last = &tree{&node{}}
	}
	if _, err := r.stat("."); err != nil {
		return nil, err
	}
	n, err := r.directory(".", last.root)
	if err != nil {
		return nil, err
	}
	if n.err != nil {
		return nil, n.err
	}
	return &tree{n}, r.verifyUnchanged()
}

// directory reads a directory. last is its previous node, or nil.
func (r *dirReader) directory(name string, last *node) (*node, error) {
	f, err := r.open(name)
	if errors.Is(err, fs.ErrPermission) {
		return &node{name: path.Base(name), mode: modeDirectory, err: unreadable(name)}, nil
	} else if err != nil {
		return nil, &unstableError{name, err}
	}
	defer f.Close()
	var children []*node
	for {
		batch, err := f.ReadDir(readDirBatch)
		for _, entry := range batch {
			if entry.Name() == ".git" {
				continue
			}
			child, err := r.entry(name, entry.Name(), last)
			if err != nil {
				return nil, err
			}
			// Git has no empty directories, so they are left out.
			if child.mode != modeDirectory || child.err != nil || len(child.children) > 0 {
				children = append(children, child)
			}
		}
		if errors.Is(err, io.EOF) {
			return newDirectoryNode(path.Base(name), name, children)
		} else if err != nil {
			return nil, &unstableError{name, err}
		}
	}
}

func (r *dirReader) entry(directory, base string, last *node) (*node, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	name, err := r.budget.enter(directory, base)
	if err != nil {
		return nil, err
	}
	info, err := r.stat(name)
	if err != nil {
		return nil, err
	}
	if last != nil {
		last = last.child(base)
	}
	switch info.Mode().Type() {
	case 0:
		return r.file(name, info, last)
	case fs.ModeDir:
		return r.directory(name, last)
	case fs.ModeSymlink:
		return r.link(name)
	default:
		// Opening a FIFO or a device could block or have side effects.
		return &node{name: base, mode: info.Mode().Type(), err: &fault{name, "is not a regular file; remove it"}}, nil
	}
}

func (r *dirReader) link(name string) (*node, error) {
	target, err := r.root.Readlink(name)
	if err != nil {
		return nil, &unstableError{name, err}
	}
	if err := r.budget.link(name, int64(len(target))); err != nil {
		return nil, err
	}
	return &node{name: path.Base(name), mode: modeLink, data: []byte(target)}, nil
}

func (r *dirReader) file(name string, info fs.FileInfo, last *node) (*node, error) {
	if err := r.budget.file(name, info.Size()); err != nil {
		return nil, err
	}
	executable := info.Mode()&0o111 != 0
	content, err := r.content(name, info)
	if errors.Is(err, fs.ErrPermission) {
		n := newFileNode(name, executable, nil)
		n.err = unreadable(name)
		return n, nil
	} else if err != nil {
		return nil, &unstableError{name, err}
	}
	if last != nil && last.mode.IsRegular() && bytes.Equal(last.data, content) {
		return newFileNode(name, executable, last.data), nil
	}
	return newFileNode(name, executable, bytes.Clone(content)), nil
}

// content returns a file's content, which is valid until the next call.
func (r *dirReader) content(name string, info fs.FileInfo) ([]byte, error) {
	f, err := r.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !sameState(info, now) {
		return nil, errChanged
	}
	if size := int(info.Size()); cap(r.buffer) < size {
		r.buffer = make([]byte, size)
	}
	content := r.buffer[:info.Size()]
	_, err = io.ReadFull(f, content)
	return content, err
}

// open does not block, because what was a file or directory a moment ago may be
// a FIFO now.
func (r *dirReader) open(name string) (*os.File, error) {
	return r.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func unreadable(name string) error {
	return &fault{name, "cannot be read; give this process permission, or remove it"}
}
