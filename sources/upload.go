package sources

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
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
func ReadUpload(ctx context.Context, packed io.Reader, limits Limits) (fs.FS, error) {
	whole := bufio.NewReaderSize(packed, sniffLength)
	start, err := whole.Peek(sniffLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	files, err := decompress(start, whole)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	b := newBuilder(limits.orDefaults(), "", nil)
	if err := untar(ctx, files, b); err != nil {
		return nil, err
	}
	if len(b.directories["."].children) == 0 {
		return nil, &fault{"", "contains no file; send the archive that tributary diff sends"}
	}
	return b.tree()
}
