package sources

import (
	"bytes"
	"cmp"
	"io/fs"
	"slices"
)

// tree is the immutable tree of files of a snapshot, in memory. Symbolic links
// are kept as links and followed within the tree when they are opened, so that
// one which dangles or leads out hurts nobody until it is needed.
//
// A submodule is listed as a directory that is also irregular. Opening it, or
// anything in it, tells that it was not read; an empty directory in its place
// would look as if its files had been deleted.
type tree struct{ root *node }

var _ interface {
	fs.ReadFileFS
	fs.ReadDirFS
	fs.StatFS
	fs.ReadLinkFS
} = (*tree)(nil)

// Modes of what a tree holds. It is read-only, and knows of permissions only
// what Git does: whether a file may be executed.
const (
	modeFile       fs.FileMode = 0o444
	modeExecutable fs.FileMode = 0o555
	modeDirectory              = fs.ModeDir | 0o555
	modeLink                   = fs.ModeSymlink | 0o777
	modeSubmodule              = fs.ModeDir | fs.ModeIrregular
)

// node is a file, symbolic link or directory.
type node struct {
	name string
	mode fs.FileMode
	// data is the content of a file or the target of a link. It may be shared
	// with nodes of other trees, and is never written to.
	data []byte
	// children are sorted by name.
	children []*node
	// err is why the node cannot be opened; nil for nearly all.
	err error
}

// newDirectoryNode takes over children. It refuses two of one name, since only
// one of them could be found.
func newDirectoryNode(name, path string, children []*node) (*node, error) {
	slices.SortFunc(children, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
	for i := 1; i < len(children); i++ {
		if children[i].name == children[i-1].name {
			return nil, &fault{path, "lists " + printable(children[i].name) + " twice; rewrite the commit"}
		}
	}
	return &node{name: name, mode: modeDirectory, children: children}, nil
}

func (n *node) child(name string) *node {
	i, ok := slices.BinarySearchFunc(n.children, name, func(c *node, name string) int { return cmp.Compare(c.name, name) })
	if !ok {
		return nil
	}
	return n.children[i]
}

func (n *node) isLink() bool { return n.mode.Type() == fs.ModeSymlink }

// Open implements fs.FS. Files are also io.Seeker and io.ReaderAt.
func (t *tree) Open(name string) (fs.File, error) {
	n, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	info := newInfo(name, n)
	if n.mode.IsDir() {
		return &openDirectory{info: info, rest: n.children}, nil
	}
	return &openFile{info: info, Reader: bytes.NewReader(n.data)}, nil
}

// ReadFile implements fs.ReadFileFS. It copies, because callers may write to
// what they get.
func (t *tree) ReadFile(name string) ([]byte, error) {
	n, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if n.mode.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errIsDirectory}
	}
	return append(make([]byte, 0, len(n.data)), n.data...), nil
}

// ReadDir implements fs.ReadDirFS.
func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotDirectory}
	}
	return entries(n.children), nil
}

// Stat implements fs.StatFS.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	n, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return newInfo(name, n), nil
}

// Lstat implements fs.ReadLinkFS. Of a submodule it tells that it is there.
func (t *tree) Lstat(name string) (fs.FileInfo, error) {
	n, err := t.findLink("lstat", name)
	if err != nil {
		return nil, err
	}
	return newInfo(name, n), nil
}

// ReadLink implements fs.ReadLinkFS.
func (t *tree) ReadLink(name string) (string, error) {
	n, err := t.findLink("readlink", name)
	if err != nil {
		return "", err
	}
	if !n.isLink() {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return string(n.data), nil
}
