package archive

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// PackUpload packs a tree as one archive, which ReadUpload reads.
func PackUpload(ctx context.Context, tree fs.FS) ([]byte, error) {
	l := (*lastPacked)(nil).lister(ctx, tree)
	if err := l.children(".", nil); err != nil {
		return nil, err
	}
	whole := &part{files: l.files}
	if err := whole.pack(ctx, tree); err != nil {
		return nil, err
	}
	return whole.packed.Data, nil
}

// ReadUpload reads the archive of an untrusted client. It enforces the same
// limits as for the archive of an artifact. A fault of the tree is a
// fleet.ErrInvalid.
func ReadUpload(ctx context.Context, packed io.Reader, limits tree.Limits) (fs.FS, error) {
	whole := bufio.NewReaderSize(packed, tree.SniffLength)
	start, err := whole.Peek(tree.SniffLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	files, err := tree.Decompress(start, whole)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	b := tree.NewBuilder(limits.OrDefaults(), "", nil)
	if err := b.AddTar(ctx, files); err != nil {
		return nil, err
	}
	if b.Empty() {
		return nil, tree.NewFault("", "contains no file; send the archive that tributary diff sends")
	}
	return b.Tree()
}
