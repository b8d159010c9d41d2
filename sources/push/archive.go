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
	// unusable are the faults of the files that are left out.
	unusable []string
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
	unusable := unusableIn("", t.Root)
	records, err := tree.UnusableRecord(unusable...)
	if err != nil {
		return nil, err
	}
	w := &archiver{ctx: ctx, tar: tar.NewWriter(io.MultiWriter(content, zip)), records: records}
	if err := cmp.Or(w.add("", t.Root), w.tar.Close()); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	made := &archive{data: data.Bytes(), content: digest.NewDigest(digest.SHA256, content), files: w.files}
	for _, u := range unusable {
		made.unusable = append(made.unusable, u.Node().Err.Error())
	}
	return made, nil
}

// unusableIn lists what the archive contains as a fault. Flux and oras do not
// notice it.
func unusableIn(directory string, n *tree.Node) (all []tree.UnusableEntry) {
	for _, child := range n.Children {
		name := path.Join(directory, child.Base)
		if child.Fault() != nil {
			all = append(all, tree.NewUnusableEntry(name, child))
		}
		all = append(all, unusableIn(name, child)...)
	}
	return all
}

type archiver struct {
	ctx   context.Context
	tar   *tar.Writer
	files int
	// records belong to the next header.
	records map[string]string
}

// add adds the content of a directory. Each directory comes before its files,
// because oras does not create missing directories.
func (w *archiver) add(directory string, n *tree.Node) error {
	for _, child := range n.Children {
		name := path.Join(directory, child.Base)
		if child.Fault() != nil {
			continue
		}
		header := &tar.Header{Typeflag: tar.TypeReg, PAXRecords: w.records, Name: name, Mode: 0o644 | int64(child.Mode&0o111), Size: int64(len(child.Data))}
		if child.IsDir() {
			header.Typeflag, header.Name, header.Mode = tar.TypeDir, name+"/", 0o755
		} else {
			w.files++
		}
		if err := w.tar.WriteHeader(header); err != nil {
			return err
		}
		w.records = nil
		if _, err := w.tar.Write(child.Data); err != nil {
			return err
		}
		if err := w.add(name, child); err != nil { // A file has no children.
			return err
		}
	}
	return w.ctx.Err()
}
