package sources

import (
	"bytes"
	"path"
)

// newFileNode makes the node of a regular file, whose name is from the root of
// the tree. It takes over data. Each kind of source makes its files here, so
// that what is no file in one is none in another.
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

// lfsVersion is how a pointer begins; the specification wants it first.
const lfsVersion = "version https://git-lfs.github.com/spec/v1\n"

// isLFSPointer tells whether a file stands for one in Git LFS. Pointers are
// shorter than 1024 bytes, by their specification.
func isLFSPointer(data []byte) bool {
	return len(data) < 1024 && bytes.HasPrefix(data, []byte(lfsVersion)) &&
		bytes.Contains(data, []byte("\noid sha256:")) && bytes.Contains(data, []byte("\nsize "))
}
