package fleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
)

// Body is an answer in the forms it is sent in. What it returns is shared by all readers
// and must not be written to.
//
// The answer to a poll is kept as the inputs that it is made of, which most clusters
// share, because its text would be nearly all that a fleet takes of memory. It is written
// when it is asked for, and of it only the compressed form and the tags stay. They are a
// function of the text alone.
type Body struct {
	inputs   []*Input
	identity []byte // the cluster's, as JSON
	text     []byte // of an answer that is no list of inputs; else nil
	size     int

	tag, pack       sync.Once
	etag, packedTag string
	packed          []byte
}

// NewBody is an answer of that text, which it keeps.
func NewBody(text []byte) *Body { return &Body{text: text, size: len(text)} }

const beginning, ending = `{"inputs":[`, `]}`

// NewAnswer is the answer to a poll: inputs, sorted by ID, with the Identity of the
// cluster as JSON. It keeps both.
func NewAnswer(inputs []*Input, identity []byte) *Body {
	size := len(beginning) + len(ending) + max(len(inputs)-1, 0)
	for _, in := range inputs {
		size += in.size() + len(identity)
	}
	return &Body{inputs: inputs, identity: identity, size: size}
}

// Inputs are what an answer to a poll consists of.
func (b *Body) Inputs() []*Input { return b.inputs }

// Is tells whether it is the answer of the very same inputs for the same cluster.
func (b *Body) Is(inputs []*Input, identity []byte) bool {
	return b != nil && b.text == nil && bytes.Equal(b.identity, identity) && slices.Equal(b.inputs, inputs)
}

// Size is the length of JSON, in bytes.
func (b *Body) Size() int { return b.size }

// JSON is the plain form, which is written anew for each who asks: few do.
func (b *Body) JSON() []byte {
	if b.text != nil {
		return b.text
	}
	return b.AppendTo(make([]byte, 0, b.size))
}

// AppendTo appends JSON to a slice.
func (b *Body) AppendTo(to []byte) []byte {
	if b.text != nil {
		return append(to, b.text...)
	}
	to = append(to, beginning...)
	for i, in := range b.inputs {
		if i > 0 {
			to = append(to, ',')
		}
		to = in.AppendTo(to, b.identity)
	}
	return append(to, ending...)
}

// ETag is a strong entity tag of JSON, and GzipETag one of Gzip, quotes included. They
// differ, because a strong tag names bytes and the two forms have different ones.
func (b *Body) ETag() string {
	b.tag.Do(func() { b.makeTags(b.JSON()) })
	return b.etag
}

// GzipETag is that of Gzip.
func (b *Body) GzipETag() string {
	b.ETag()
	return b.packedTag
}

func (b *Body) makeTags(text []byte) {
	sum := sha256.Sum256(text)
	tag := hex.EncodeToString(sum[:16])
	both := `"` + tag + `""` + tag + `-gzip"` // one string, for the memory
	b.etag, b.packedTag = both[:len(tag)+2], both[len(tag)+2:]
}

// Gzip is the compressed form. The first who asks has it made, because a release makes
// more bodies at once than are polled at once; for all others it is there.
func (b *Body) Gzip() []byte {
	b.pack.Do(func() {
		w := packers.Get().(*packer)
		defer packers.Put(w)
		w.plain = b.AppendTo(w.plain[:0])
		b.tag.Do(func() { b.makeTags(w.plain) })
		b.packed = w.pack()
	})
	return b.packed
}
