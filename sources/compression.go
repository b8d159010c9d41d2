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

// compressed tells whether the first bytes of a stream are of one that decompress
// makes larger.
func compressed(start []byte) bool {
	return bytes.HasPrefix(start, gzipMagic) || bytes.HasPrefix(start, zstdMagic)
}

// decompress goes by the first bytes of what it reads rather than by a media
// type, because that is what tools put there without looking. It returns r itself
// where it is not compressed.
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

// sniffed is how much of a layer must be there to tell what it is: a whole block
// of zstd.
const sniffLength = 256 << 10

// isArchive tells whether the first bytes of a stream are of a tar archive, be it
// compressed.
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
	// A first header may go on behind its block, as that of a long name does.
	_, err = tar.NewReader(io.MultiReader(bytes.NewReader(block), r)).Next()
	return err == nil
}
