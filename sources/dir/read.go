package dir

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

	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// batchSize is the number of directory entries that are read at a time, so a
// directory of millions costs no more memory than the limit allows.
const batchSize = 512

// reader reads a directory into a tree. It accesses everything by names
// relative to root, so a link that is swapped in meanwhile cannot lead it
// outside, and a FIFO cannot block it.
type reader struct {
	ctx    context.Context
	root   *os.Root
	keep   func(name string) bool
	budget tree.Budget
	now    func() time.Time
	// seen is the state of each entry before it was read.
	seen   []entryState
	buffer []byte
}

// readAll reads what is to be kept of root; all if keep is nil. Files that are unchanged since last, which may be
// nil, share its memory.
func readAll(ctx context.Context, root *os.Root, keep func(name string) bool, limits tree.Limits, last *tree.Tree, now func() time.Time) (*tree.Tree, error) {
	r := &reader{ctx: ctx, root: root, keep: keep, now: now, budget: tree.Budget{Limits: limits}}
	if last == nil {
		last = tree.New(&tree.Node{})
	}
	if _, err := r.stat("."); err != nil {
		return nil, err
	}
	n, err := r.directory(".", last.Root)
	if err != nil {
		return nil, err
	}
	if n.Err != nil {
		return nil, n.Err
	}
	return tree.New(n), r.verifyUnchanged()
}

// directory reads a directory. last is its previous node, or nil.
func (r *reader) directory(name string, last *tree.Node) (*tree.Node, error) {
	f, err := r.open(name)
	if errors.Is(err, fs.ErrPermission) {
		return &tree.Node{Base: path.Base(name), Mode: tree.ModeDirectory, Err: unreadable(name)}, nil
	} else if err != nil {
		return nil, &unstableError{name, err}
	}
	defer f.Close()
	var children []*tree.Node
	for {
		batch, err := f.ReadDir(batchSize)
		for _, entry := range batch {
			if entry.Name() == ".git" || r.keep != nil && !r.keep(path.Join(name, entry.Name())) {
				continue
			}
			child, err := r.entry(name, entry.Name(), last)
			if err != nil {
				return nil, err
			}
			if !child.IsEmpty() {
				children = append(children, child)
			}
		}
		if errors.Is(err, io.EOF) {
			return tree.NewDirectory(path.Base(name), name, children)
		} else if err != nil {
			return nil, &unstableError{name, err}
		}
	}
}

func (r *reader) entry(directory, base string, last *tree.Node) (*tree.Node, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	info, err := r.stat(path.Join(directory, base))
	if err != nil {
		return nil, err
	}
	n, err := r.read(directory, base, info, last.Child(base))
	if unusable := tree.Unusable(base, info.Mode(), err); unusable != nil {
		return unusable, nil
	}
	return n, err
}

func (r *reader) read(directory, base string, info fs.FileInfo, last *tree.Node) (*tree.Node, error) {
	name, err := r.budget.Enter(directory, base)
	if err != nil {
		return nil, err
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
		return &tree.Node{Base: base, Mode: info.Mode().Type(), Err: tree.NewFault(name, "is not a regular file; remove it")}, nil
	}
}

func (r *reader) link(name string) (*tree.Node, error) {
	target, err := r.root.Readlink(name)
	if err != nil {
		return nil, &unstableError{name, err}
	}
	if err := r.budget.Link(name, int64(len(target))); err != nil {
		return nil, err
	}
	return &tree.Node{Base: path.Base(name), Mode: tree.ModeLink, Data: []byte(target)}, nil
}

func (r *reader) file(name string, info fs.FileInfo, last *tree.Node) (*tree.Node, error) {
	if err := r.budget.File(name, info.Size()); err != nil {
		return nil, err
	}
	executable := info.Mode()&0o111 != 0
	content, err := r.content(name, info)
	if errors.Is(err, fs.ErrPermission) {
		n := tree.NewFile(name, executable, nil)
		n.Err = unreadable(name)
		return n, nil
	} else if err != nil {
		return nil, &unstableError{name, err}
	}
	if last != nil && last.Mode.IsRegular() && bytes.Equal(last.Data, content) {
		return tree.NewFile(name, executable, last.Data), nil
	}
	return tree.NewFile(name, executable, bytes.Clone(content)), nil
}

// content returns a file's content, which is valid until the next call.
func (r *reader) content(name string, info fs.FileInfo) ([]byte, error) {
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
func (r *reader) open(name string) (*os.File, error) {
	return r.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func unreadable(name string) error {
	return tree.NewFault(name, "cannot be read; give this process permission, or remove it")
}
