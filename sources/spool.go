package sources

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

// objects are what a commit consists of, by hash.
type objects map[plumbing.Hash]object

// spool holds the objects of one fetch on disk, inflated, until the tree is
// read from them. They come in an order of the server's choosing, and which of
// them are files, and of what name, is known only at the end.
type spool struct {
	file  *os.File
	w     *bufio.Writer
	size  int64
	index map[plumbing.Hash]spooled
}

// spooled is where an object lies.
type spooled struct {
	kind         plumbing.ObjectType
	offset, size int64
}

func newSpool() (*spool, error) {
	file, err := os.CreateTemp("", "tributary-fetch-")
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w; set TMPDIR to a directory that can be written to", err)
	}
	// Without a name it is gone with the process, however that ends.
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

// add remembers that the last size bytes are an object.
func (s *spool) add(hash plumbing.Hash, kind plumbing.ObjectType, size int64) {
	s.index[hash] = spooled{kind, s.size - size, size}
}

// read returns what lies somewhere, in memory of its own.
func (s *spool) read(at spooled) ([]byte, error) {
	if err := s.w.Flush(); err != nil {
		return nil, err
	}
	data := make([]byte, at.size)
	_, err := s.file.ReadAt(data, at.offset)
	return data, err
}
