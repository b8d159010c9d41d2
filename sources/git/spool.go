package git

import (
	"bufio"
	"fmt"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
)

// object is a Git object in memory.
type object struct {
	kind plumbing.ObjectType
	data []byte
}

// objects are the objects of a commit, by hash.
type objects map[plumbing.Hash]object

// spool keeps the decompressed objects of one fetch on disk until the tree is
// built from them. They arrive in an order that the server chooses, and only at
// the end is it known which of them are files and what their names are.
type spool struct {
	file  *os.File
	w     *bufio.Writer
	size  int64
	index map[plumbing.Hash]spooled
}

// spooled is the position of an object in the spool.
type spooled struct {
	kind         plumbing.ObjectType
	offset, size int64
}

func newSpool() (*spool, error) {
	file, err := os.CreateTemp("", "tributary-fetch-")
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w; set TMPDIR to a directory that can be written to", err)
	}
	// A file without a name is gone when the process ends, however it ends.
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, err
	}
	return &spool{file: file, w: bufio.NewWriterSize(file, 64<<10), index: map[plumbing.Hash]spooled{}}, nil
}

// close frees the disk.
func (s *spool) close() { _ = s.file.Close() }

// Write appends to the end.
func (s *spool) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.size += int64(n)
	return n, err
}

// add records the last size bytes as an object.
func (s *spool) add(hash plumbing.Hash, kind plumbing.ObjectType, size int64) {
	s.index[hash] = spooled{kind, s.size - size, size}
}

// read returns a copy of the object at a position.
func (s *spool) read(at spooled) ([]byte, error) {
	if err := s.w.Flush(); err != nil {
		return nil, err
	}
	data := make([]byte, at.size)
	_, err := s.file.ReadAt(data, at.offset)
	return data, err
}
