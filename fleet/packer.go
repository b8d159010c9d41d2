package fleet

import (
	"bytes"
	"compress/gzip"
	"sync"
)

// packer compresses one answer at a time, in memory that is used again: the first poll
// after a release has it done, and then all clusters poll for the first time.
type packer struct {
	plain  []byte
	packed bytes.Buffer
	zip    *gzip.Writer
}

var packers = sync.Pool{New: func() any { return &packer{zip: gzip.NewWriter(nil)} }}

// pack is the plain text compressed, in a slice of its own.
func (p *packer) pack() []byte {
	p.packed.Reset()
	p.zip.Reset(&p.packed)
	_, _ = p.zip.Write(p.plain) // a bytes.Buffer takes everything
	_ = p.zip.Close()
	return bytes.Clone(p.packed.Bytes())
}
