package sources

import (
	"archive/tar"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// compressed reports whether a stream that begins with start is compressed in a
// format that decompress supports.
func compressed(start []byte) bool {
	return bytes.HasPrefix(start, gzipMagic) || bytes.HasPrefix(start, zstdMagic)
}

// decompress returns a reader of the decompressed stream. It decides by the
// first bytes, because many tools set a wrong media type. It returns r itself
// if the stream is not compressed.
func decompress(start []byte, r io.Reader) (io.ReadCloser, error) {
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

// sniffLength is how many bytes of a layer are needed to detect its format: a
// whole block of zstd.
const sniffLength = 256 << 10

// isArchive reports whether a stream that begins with start is a tar archive,
// compressed or not.
func isArchive(start []byte) bool {
	r, err := decompress(start, bytes.NewReader(start))
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
