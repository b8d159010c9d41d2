package tree

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fluxcd/pkg/sourceignore/gitignore"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Tree is the immutable tree of files of a snapshot, in memory. Symbolic links
// stay links and are followed within the tree when they are opened, so a link
// that dangles or leads out of the tree is an error only where it is used.
//
// A submodule is listed as a directory with the irregular mode bit. Opening it,
// or anything below it, returns an error. An empty directory in its place would
// look as if its files had been deleted. A file or directory that cannot be used,
// because of its size or name, is listed and cannot be opened either.
type Tree struct {
	Root *Node
	// patterns are those of the ignore files by which files were left out.
	patterns []gitignore.Pattern
}

// New returns the tree below a directory.
func New(root *Node) *Tree { return &Tree{Root: root} }

var _ interface {
	fs.ReadFileFS
	fs.ReadDirFS
	fs.StatFS
	fs.ReadLinkFS
} = (*Tree)(nil)

// The modes of nodes. A tree is read-only and, like Git, only distinguishes whether
// a file is executable.
const (
	modeFile       fs.FileMode = 0o444
	ModeExecutable fs.FileMode = 0o555
	ModeDirectory              = fs.ModeDir | 0o555
	ModeLink                   = fs.ModeSymlink | 0o777
	ModeSubmodule              = fs.ModeDir | fs.ModeIrregular
)

// Node is a file, symbolic link or directory.
type Node struct {
	Base string
	Mode fs.FileMode
	// Data is the content of a file or the target of a link. Other trees may
	// share it, so it is never modified.
	Data []byte
	// Children are sorted by name.
	Children []*Node
	// Err is the error for opening the node; nil for nearly all nodes.
	Err error
}

// NewDirectory takes ownership of children. It refuses two children with
// the same name, because only one of them could be found. Children whose names
// are the same on some machines cannot be used.
func NewDirectory(name, path string, children []*Node) (*Node, error) {
	slices.SortFunc(children, func(a, b *Node) int { return cmp.Compare(a.Base, b.Base) })
	for i := 1; i < len(children); i++ {
		if children[i].Base == children[i-1].Base {
			return nil, NewFault(path, "lists %s twice; rewrite the commit", message.Printable(children[i].Base))
		}
	}
	replaceTwins(path, children)
	return &Node{Base: name, Mode: ModeDirectory, Children: children}, nil
}

// replaceTwins replaces children whose names are equal on file systems that
// ignore case or Unicode form. What such a directory contains depends on the
// machine that it was written on.
func replaceTwins(directory string, children []*Node) {
	if !slices.ContainsFunc(children, func(n *Node) bool { return fold(n.Base) != n.Base }) {
		return
	}
	first := make(map[string]int, len(children)) // by folded name
	for i, child := range children {
		key := fold(child.Base)
		j, ok := first[key]
		if !ok {
			first[key] = i
			continue
		}
		for _, pair := range [][2]int{{i, j}, {j, i}} {
			n, other := children[pair[0]], children[pair[1]]
			if n.Err == nil {
				name := path.Join(directory, n.Base)
				fault := NewLocalFault(name, "has the same name as %s on file systems that ignore case or Unicode form; rename one of them", message.Printable(path.Join(directory, other.Base)))
				children[pair[0]] = Unusable(n.Base, n.Mode, fault) // n may be a part of an earlier tree.
			}
		}
	}
}

// fold returns the same text for names that are equal on file systems which
// ignore case or Unicode form.
func fold(name string) string {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
		}
	}
	return strings.ToLower(name)
}

// IsEmpty reports whether the node is a directory without entries. Git has none,
// so they are left out.
func (n *Node) IsEmpty() bool { return n.Mode == ModeDirectory && n.Err == nil && len(n.Children) == 0 }

// Child returns the entry of a directory with that name; nil if there is none,
// or no directory.
func (n *Node) Child(name string) *Node {
	if n == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(n.Children, name, func(c *Node, name string) int { return cmp.Compare(c.Base, name) })
	if !ok {
		return nil
	}
	return n.Children[i]
}

// IsLink reports whether the node is a symbolic link.
func (n *Node) IsLink() bool { return n.Mode.Type() == fs.ModeSymlink }

// Open implements fs.FS. Files also implement io.Seeker and io.ReaderAt.
func (t *Tree) Open(name string) (fs.File, error) {
	n, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	info := newInfo(name, n)
	if n.Mode.IsDir() {
		return &openDirectory{info: info, rest: n.Children}, nil
	}
	return &openFile{info: info, Reader: bytes.NewReader(n.Data)}, nil
}

// ReadFile implements fs.ReadFileFS. It returns a copy, because callers may
// modify the result.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	n, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if n.Mode.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errIsDirectory}
	}
	return append(make([]byte, 0, len(n.Data)), n.Data...), nil
}

// ReadDir implements fs.ReadDirFS.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.Mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotDirectory}
	}
	return entries(n.Children), nil
}

// Stat implements fs.StatFS.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	n, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return newInfo(name, n), nil
}

// Lstat implements fs.ReadLinkFS. For a submodule it returns information
// instead of an error.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) {
	n, err := t.Lookup("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return newInfo(name, n), nil
}

// ReadLink implements fs.ReadLinkFS.
func (t *Tree) ReadLink(name string) (string, error) {
	n, err := t.Lookup("readlink", name, false)
	if err != nil {
		return "", err
	}
	if !n.IsLink() {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return string(n.Data), nil
}

var (
	errIsDirectory  = errors.New("is a directory")
	errNotDirectory = errors.New("not a directory")
)

// Name implements fs.DirEntry.
func (n *Node) Name() string { return n.Base }

// IsDir implements fs.DirEntry.
func (n *Node) IsDir() bool { return n.Mode.IsDir() }

// Type implements fs.DirEntry.
func (n *Node) Type() fs.FileMode { return n.Mode.Type() }

// Info implements fs.DirEntry.
func (n *Node) Info() (fs.FileInfo, error) { return info{n.Base, n}, nil }

func entries(nodes []*Node) []fs.DirEntry {
	list := make([]fs.DirEntry, len(nodes))
	for i, n := range nodes {
		list[i] = n
	}
	return list
}

// info describes a node under the name that was opened, which differs from the
// node's own name if a link was followed.
type info struct {
	name string
	node *Node
}

func newInfo(name string, n *Node) info { return info{path.Base(name), n} }

func (i info) Name() string      { return i.name }
func (i info) Size() int64       { return int64(len(i.node.Data)) }
func (i info) Mode() fs.FileMode { return i.node.Mode }
func (i info) IsDir() bool       { return i.node.Mode.IsDir() }

// Sys returns a fleet.Content, which is equal for files that share their
// memory.
func (i info) Sys() any { return fleet.ContentOf(i.node.Data) }

// ModTime is zero, because a snapshot does not depend on when it was fetched.
func (i info) ModTime() time.Time { return time.Time{} }

type openFile struct {
	info info
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDirectory struct {
	info info
	rest []*Node
}

func (d *openDirectory) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDirectory) Close() error               { return nil }

func (d *openDirectory) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errIsDirectory}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDirectory) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(d.rest) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.rest) {
		n = len(d.rest)
	}
	list := entries(d.rest[:n])
	d.rest = d.rest[n:]
	return list, nil
}

// NewFile returns the node of a regular file, whose name is the path from
// the root. It takes ownership of data. All kinds of sources create files with
// it, so they all treat the same content the same way.
func NewFile(name string, executable bool, data []byte) *Node {
	n := &Node{Base: path.Base(name), Mode: modeFile, Data: data}
	if executable {
		n.Mode = ModeExecutable
	}
	if IsLFSPointer(data) {
		n.Err = NewFault(name, "is a Git LFS pointer, and the file that it points to is not read; commit the file itself")
	}
	return n
}

// lfsVersion is the first line of a pointer, as the specification requires.
const lfsVersion = "version https://git-lfs.github.com/spec/v1\n"

// IsLFSPointer reports whether data is a Git LFS pointer. By their
// specification, pointers are shorter than 1024 bytes.
func IsLFSPointer(data []byte) bool {
	return len(data) < 1024 && bytes.HasPrefix(data, []byte(lfsVersion)) &&
		bytes.Contains(data, []byte("\noid sha256:")) && bytes.Contains(data, []byte("\nsize "))
}
