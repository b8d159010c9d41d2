package sources

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"path"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
)

// archive is a tree as a gzipped tar, which is the same bytes for the same tree:
// sorted, without owners, times and permissions beyond what a tree knows.
type archive struct {
	data []byte
	// content is the digest of the tar within.
	content digest.Digest
	files   int
}

// archiveLevel is fixed, and the library is another than Go's own, because a
// digest must change neither with the machine nor with the Go that tributary was
// built with. A library that compresses otherwise fails a test.
const archiveLevel = 6

// newArchive takes a tree without symbolic links.
func newArchive(ctx context.Context, t *tree) (*archive, error) {
	var data bytes.Buffer
	zip, err := gzip.NewWriterLevel(&data, archiveLevel)
	if err != nil {
		return nil, err
	}
	zip.ModTime = time.Unix(0, 0) // What stands for none; the zero Time does not.
	content := sha256.New()
	w := &archiver{ctx: ctx, tar: tar.NewWriter(io.MultiWriter(content, zip))}
	if err := w.writeChildren("", t.root); err != nil {
		return nil, err
	}
	if err := w.tar.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return &archive{data.Bytes(), digest.NewDigest(digest.SHA256, content), w.files}, nil
}

type archiver struct {
	ctx   context.Context
	tar   *tar.Writer
	files int
}

// children writes what is in a directory, each directory before what it holds:
// oras makes none by itself.
func (w *archiver) writeChildren(directory string, n *node) error {
	for _, child := range n.children {
		name := path.Join(directory, child.name)
		write := w.writeFile
		if child.IsDir() {
			write = w.writeDirectory
		}
		if err := write(name, child); err != nil {
			return err
		}
	}
	return w.ctx.Err()
}

func (w *archiver) writeDirectory(name string, n *node) error {
	if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}); err != nil {
		return err
	}
	return w.writeChildren(name, n)
}

func (w *archiver) writeFile(name string, n *node) error {
	w.files++
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(n.data))}
	if n.mode == modeExecutable {
		header.Mode = 0o755
	}
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.tar.Write(n.data)
	return err
}
