package sources

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

var (
	errIsDirectory  = errors.New("is a directory")
	errNotDirectory = errors.New("not a directory")
)

// Name, IsDir, Type and Info implement fs.DirEntry.
func (n *node) Name() string               { return n.name }
func (n *node) IsDir() bool                { return n.mode.IsDir() }
func (n *node) Type() fs.FileMode          { return n.mode.Type() }
func (n *node) Info() (fs.FileInfo, error) { return info{n.name, n}, nil }

func entries(nodes []*node) []fs.DirEntry {
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
	node *node
}

func newInfo(name string, n *node) info { return info{path.Base(name), n} }

func (i info) Name() string      { return i.name }
func (i info) Size() int64       { return int64(len(i.node.data)) }
func (i info) Mode() fs.FileMode { return i.node.mode }
func (i info) IsDir() bool       { return i.node.mode.IsDir() }

// Sys returns a fleet.Content, which is equal for files that share their
// memory.
func (i info) Sys() any { return fleet.ContentOf(i.node.data) }

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
	rest []*node
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
