package sources

import (
	"bytes"
	"path"
)

// newFileNode returns the node of a regular file, whose name is the path from
// the root. It takes ownership of data. All kinds of sources create files with
// it, so they all treat the same content the same way.
func newFileNode(name string, executable bool, data []byte) *node {
	n := &node{name: path.Base(name), mode: modeFile, data: data}
	if executable {
		n.mode = modeExecutable
	}
	if isLFSPointer(data) {
		n.err = &fault{name, "is a Git LFS pointer, and the file that it points to is not read; commit the file itself"}
	}
	return n
}

// lfsVersion is the first line of a pointer, as the specification requires.
const lfsVersion = "version https://git-lfs.github.com/spec/v1\n"

// isLFSPointer reports whether data is a Git LFS pointer. By their
// specification, pointers are shorter than 1024 bytes.
func isLFSPointer(data []byte) bool {
	return len(data) < 1024 && bytes.HasPrefix(data, []byte(lfsVersion)) &&
		bytes.Contains(data, []byte("\noid sha256:")) && bytes.Contains(data, []byte("\nsize "))
}
