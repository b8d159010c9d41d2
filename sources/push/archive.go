package push

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
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// archive is a tree as a gzipped tar. The same tree always gives the same
// bytes: entries are sorted and have no owners, times or permissions other than
// the executable bit.
type archive struct {
	data []byte
	// content is the digest of the uncompressed tar.
	content digest.Digest
	files   int
}

// compression is fixed, and the compression library is not Go's own, because a
// digest must not depend on the machine or on the version of Go. A test fails
// if an update of the library changes its output.
const compression = 6

// pack archives a tree, which must not contain symbolic links.
func pack(ctx context.Context, t *tree.Tree) (*archive, error) {
	var data bytes.Buffer
	zip, err := gzip.NewWriterLevel(&data, compression)
	if err != nil {
		return nil, err
	}
	zip.ModTime = time.Unix(0, 0) // This means no time; the zero Time does not.
	content := sha256.New()
	w := &archiver{ctx: ctx, tar: tar.NewWriter(io.MultiWriter(content, zip))}
	if err := w.writeChildren("", t.Root); err != nil {
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

// writeChildren writes the content of a directory. Each directory comes before
// its files, because oras does not create missing directories.
func (w *archiver) writeChildren(directory string, n *tree.Node) error {
	for _, child := range n.Children {
		name := path.Join(directory, child.Base)
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

func (w *archiver) writeDirectory(name string, n *tree.Node) error {
	if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}); err != nil {
		return err
	}
	return w.writeChildren(name, n)
}

func (w *archiver) writeFile(name string, n *tree.Node) error {
	w.files++
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(n.Data))}
	if n.Mode == tree.ModeExecutable {
		header.Mode = 0o755
	}
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.tar.Write(n.Data)
	return err
}
