package sources

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
)

// PackToSend packs a tree as ReadSent reads it: as one archive.
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

// ReadSent reads a packed snapshot that somebody sent, who is not to be trusted: it is
// held to the limits of an artifact's archive. What is wrong with the tree is a
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
