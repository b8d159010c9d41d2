package view

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/tributary-gitops/tributary/fleet"
)

// Body is the body of an answer in the forms in which it is sent. What its methods return is
// shared by all readers and must not be modified.
//
// The text is written on demand, since few clients ask for it. Of what is written, only the
// compressed form and the entity tags are kept. They are a function of the text alone.
type Body struct {
	answer *fleet.Answer // nil where the body is text
	text   []byte

	tagOnce, gzipOnce sync.Once
	etag, gzipETag    string
	compressed        []byte
}

// NewBody returns the body of an answer.
func NewBody(a *fleet.Answer) *Body { return &Body{answer: a} }

// TextBody returns a body of that text, which must not be modified afterwards.
func TextBody(text []byte) *Body { return &Body{text: text} }

// Size returns the length of the text in bytes.
func (b *Body) Size() int {
	if b.answer != nil {
		return b.answer.Size()
	}
	return len(b.text)
}

// JSON returns the text.
func (b *Body) JSON() []byte {
	if b.answer != nil {
		return b.answer.JSON()
	}
	return b.text
}

// AppendTo appends the text to a slice.
func (b *Body) AppendTo(to []byte) []byte {
	if b.answer != nil {
		return b.answer.AppendTo(to)
	}
	return append(to, b.text...)
}

// ETag returns a strong entity tag of JSON, quotes included. GzipETag returns that of Gzip. They
// differ because a strong tag names bytes (RFC 9110), and the two forms have different ones.
func (b *Body) ETag() string {
	b.tagOnce.Do(func() { b.makeTags(b.JSON()) })
	return b.etag
}

// GzipETag returns a strong entity tag of Gzip, quotes included.
func (b *Body) GzipETag() string {
	b.ETag()
	return b.gzipETag
}

func (b *Body) makeTags(text []byte) {
	sum := sha256.Sum256(text)
	tag := hex.EncodeToString(sum[:16])
	both := `"` + tag + `""` + tag + `-gzip"` // one string takes less memory than two
	b.etag, b.gzipETag = both[:len(tag)+2], both[len(tag)+2:]
}

// Gzip returns the compressed form. The first call makes it: a release makes more bodies at once
// than are polled at once.
func (b *Body) Gzip() []byte {
	b.gzipOnce.Do(func() {
		c := compressors.Get().(*compressor)
		defer compressors.Put(c)
		c.text = b.AppendTo(c.text[:0])
		b.tagOnce.Do(func() { b.makeTags(c.text) })
		b.compressed = c.compress()
	})
	return b.compressed
}

// compressor compresses one body at a time, in memory that is reused: after a release all
// clusters poll for the first time.
type compressor struct {
	text []byte
	out  bytes.Buffer
	zip  *gzip.Writer
}

// gzipLevel takes a fifth of the time of the default level, for bodies that are a twelfth larger.
const gzipLevel = 3

var compressors = sync.Pool{New: func() any {
	zip, err := gzip.NewWriterLevel(nil, gzipLevel)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &compressor{zip: zip}
}}

// compress returns the compressed text, in a slice of its own.
func (c *compressor) compress() []byte {
	c.out.Reset()
	c.zip.Reset(&c.out)
	_, _ = c.zip.Write(c.text) // a bytes.Buffer takes everything
	_ = c.zip.Close()
	return bytes.Clone(c.out.Bytes())
}

// TextBody returns the body of a text, which it keeps.
func TextBody(text []byte) *Body { return &Body{text: text} }
