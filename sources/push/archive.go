package push

import (
	"archive/tar"
	"bytes"
	"cmp"
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
	if err := cmp.Or(w.add("", t.Root), w.tar.Close()); err != nil {
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

// add adds the content of a directory. Each directory comes before its files,
// because oras does not create missing directories.
func (w *archiver) add(directory string, n *tree.Node) error {
	for _, child := range n.Children {
		name := path.Join(directory, child.Base)
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644 | int64(child.Mode&0o111), Size: int64(len(child.Data))}
		if child.IsDir() {
			header.Typeflag, header.Name, header.Mode = tar.TypeDir, name+"/", 0o755
		} else {
			w.files++
		}
		if err := w.tar.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.tar.Write(child.Data); err != nil {
			return err
		}
		if err := w.add(name, child); err != nil { // A file has no children.
			return err
		}
	}
	return w.ctx.Err()
}
