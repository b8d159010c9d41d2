package sources

import (
	"bytes"
	"cmp"
	"io/fs"
	"slices"
)

// tree is the immutable tree of files of a snapshot, in memory. Symbolic links
// stay links and are followed within the tree when they are opened, so a link
// that dangles or leads out of the tree is an error only where it is used.
//
// A submodule is listed as a directory with the irregular mode bit. Opening it,
// or anything below it, returns an error. An empty directory in its place would
// look as if its files had been deleted.
type tree struct{ root *node }

var _ interface {
	fs.ReadFileFS
	fs.ReadDirFS
	fs.StatFS
	fs.ReadLinkFS
} = (*tree)(nil)

// Modes of nodes. A tree is read-only and, like Git, only distinguishes whether
// a file is executable.
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
	// data is the content of a file or the target of a link. Other trees may
	// share it, so it is never modified.
	data []byte
	// children are sorted by name.
	children []*node
	// err is the error for opening the node; nil for nearly all nodes.
	err error
}

// newDirectoryNode takes ownership of children. It refuses two children with
// the same name, because only one of them could be found.
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

// Open implements fs.FS. Files also implement io.Seeker and io.ReaderAt.
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

// ReadFile implements fs.ReadFileFS. It returns a copy, because callers may
// modify the result.
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

// Lstat implements fs.ReadLinkFS. For a submodule it returns information
// instead of an error.
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
