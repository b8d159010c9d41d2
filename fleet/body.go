package fleet

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"sync"
)

// Body is an answer in the forms it is sent in, made before anyone asks.
// Its slices are shared by all readers and must not be written to.
type Body struct {
	// JSON is the plain form, Gzip the compressed one.
	JSON, Gzip []byte
	// ETag and GzipETag are strong entity tags, quotes included. They differ,
	// because a strong tag names bytes and the two forms have different ones.
	ETag, GzipETag string
}

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// NewBody compresses and tags json, which it keeps.
func NewBody(json []byte) *Body {
	var packed bytes.Buffer
	w := gzipWriters.Get().(*gzip.Writer)
	w.Reset(&packed)
	_, _ = w.Write(json) // a bytes.Buffer takes everything
	_ = w.Close()
	gzipWriters.Put(w)

	sum := sha256.Sum256(json)
	tag := hex.EncodeToString(sum[:16])
	return &Body{
		JSON: json, Gzip: bytes.Clone(packed.Bytes()),
		ETag: `"` + tag + `"`, GzipETag: `"` + tag + `-gzip"`,
	}
}
