package tree

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// AddTar adds the entries of a tar archive. It refuses entries that no fleet
// repo needs and entries that different machines would unpack differently. Even
// for an endless stream, it reads a bounded amount.
func (b *Builder) AddTar(ctx context.Context, r io.Reader) error {
	archive := tar.NewReader(&inflateLimiter{r, b})
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath): // entryName returns a better error.
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case b.entries <= 0:
			return TooManyFiles(b.budget.Limits)
		}
		b.entries--
		if err := b.addEntry(header, archive); err != nil {
			return err
		}
	}
}

func (b *Builder) addEntry(header *tar.Header, content io.Reader) error {
	for _, u := range UnusableIn(header) {
		if err := b.addUnusable(u); err != nil {
			return err
		}
	}
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil // git archive stores the commit here.
	}
	name, err := b.EntryName(header.Name)
	if err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return b.AddDirectory(name)
	case tar.TypeReg:
		if name == "." || strings.HasSuffix(header.Name, "/") {
			return NewFault(header.Name, "is a file with the name of a directory; create the archive again")
		}
		if sparse(header) {
			return NewFault(name, "is a sparse file; create the archive again without --sparse")
		}
		return b.AddFile(name, fs.FileMode(header.Mode), header.Size, content)
	case tar.TypeSymlink:
		if name == "." {
			return NewFault(header.Name, "is a symbolic link in place of the root; create the archive again")
		}
		return b.addLink(name, header.Linkname)
	}
	return NewFault(name, "%s", refusedType(header))
}

func sparse(header *tar.Header) bool {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func refusedType(header *tar.Header) string {
	switch header.Typeflag {
	case tar.TypeLink:
		return "is a hard link to " + message.Printable(header.Linkname) + "; replace it with a copy or a symbolic link"
	case tar.TypeChar, tar.TypeBlock:
		return "is a device; remove it"
	case tar.TypeFifo:
		return "is a FIFO; remove it"
	case tar.TypeGNUSparse:
		return "is a sparse file; create the archive again without --sparse"
	}
	return fmt.Sprintf("has type %q, which is not a file, directory or symbolic link; remove it", header.Typeflag)
}

// inflateLimiter returns an error when an artifact unpacks to more than any
// Tree within the limits needs, because a few compressed bytes can expand to
// any size.
type inflateLimiter struct {
	io.Reader
	into *Builder
}

func (r *inflateLimiter) Read(p []byte) (int, error) {
	if r.into.unpacked <= 0 {
		return 0, MuchTooLarge(r.into.budget.Limits)
	}
	n, err := r.Reader.Read(p[:min(int64(len(p)), r.into.unpacked)])
	r.into.unpacked -= int64(n)
	return n, err
}

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// Compressed reports whether a stream that begins with start is compressed in a
// format that decompress supports.
func Compressed(start []byte) bool {
	return bytes.HasPrefix(start, gzipMagic) || bytes.HasPrefix(start, zstdMagic)
}

// Decompress returns a reader of the decompressed stream. It decides by the
// first bytes, because many tools set a wrong media type. It returns r itself
// if the stream is not compressed.
func Decompress(start []byte, r io.Reader) (io.ReadCloser, error) {
	switch {
	case bytes.HasPrefix(start, gzipMagic):
		return gzip.NewReader(r)
	case bytes.HasPrefix(start, zstdMagic):
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(32<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// SniffLength is how many bytes of a layer are needed to detect its format: a
// whole block of zstd.
const SniffLength = 256 << 10

// IsArchive reports whether a stream that begins with start is a tar archive,
// Compressed or not.
func IsArchive(start []byte) bool {
	r, err := Decompress(start, bytes.NewReader(start))
	if err != nil {
		return false
	}
	defer r.Close()
	block := make([]byte, 512)
	if _, err := io.ReadFull(r, block); err != nil {
		return false
	}
	// The first header may continue after its block, as that of a long name
	// does.
	_, err = tar.NewReader(io.MultiReader(bytes.NewReader(block), r)).Next()
	return err == nil
}
