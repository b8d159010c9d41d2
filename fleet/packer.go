package fleet

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// packer compresses one answer at a time, in memory that is used again: the first poll
// after a release has it done, and then all clusters poll for the first time.
type packer struct {
	plain  []byte
	packed bytes.Buffer
	zip    *gzip.Writer
}

// packLevel takes a fifth of the time of the standard library's default, for answers that are
// a twelfth larger.
const packLevel = 3

var packers = sync.Pool{New: func() any {
	zip, err := gzip.NewWriterLevel(nil, packLevel)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &packer{zip: zip}
}}

// pack is the plain text compressed, in a slice of its own.
func (p *packer) pack() []byte {
	p.packed.Reset()
	p.zip.Reset(&p.packed)
	_, _ = p.zip.Write(p.plain) // a bytes.Buffer takes everything
	_ = p.zip.Close()
	return bytes.Clone(p.packed.Bytes())
}
