package fleet

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"sync"
)

// Body is an answer in the forms it is sent in. Its slices are shared by all readers
// and must not be written to.
type Body struct {
	// JSON is the plain form.
	JSON []byte
	// ETag and GzipETag are strong entity tags, quotes included. They differ,
	// because a strong tag names bytes and the two forms have different ones.
	ETag, GzipETag string

	pack   sync.Once
	packed []byte
}

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// NewBody tags json, which it keeps.
func NewBody(json []byte) *Body {
	sum := sha256.Sum256(json)
	tag := hex.EncodeToString(sum[:16])
	return &Body{JSON: json, ETag: `"` + tag + `"`, GzipETag: `"` + tag + `-gzip"`}
}

// Gzip is the compressed form. The first who asks has it made, because a release makes
// more bodies at once than are polled at once; for all others it is there.
func (b *Body) Gzip() []byte {
	b.pack.Do(func() {
		var packed bytes.Buffer
		w := gzipWriters.Get().(*gzip.Writer)
		w.Reset(&packed)
		_, _ = w.Write(b.JSON) // a bytes.Buffer takes everything
		_ = w.Close()
		gzipWriters.Put(w)
		b.packed = bytes.Clone(packed.Bytes())
	})
	return b.packed
}
