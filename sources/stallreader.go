package sources

import (
	"context"
	"errors"
	"io"
	"time"
)

// stallTimeout is longer than any host needs to produce the next bytes.
const stallTimeout = time.Minute

var errStalled = errors.New("the host stopped sending in the middle of an answer; it may be overloaded, or the connection may be broken")

// stallReader is a body whose Read fails if nothing arrives for a while. The
// time limit of a whole fetch is no help, because it has to be long enough for
// the largest one.
type stallReader struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
}

// newStallReader takes ownership of cancel, which must abort pending reads.
func newStallReader(ctx context.Context, body io.ReadCloser, cancel context.CancelCauseFunc, stall time.Duration) *stallReader {
	timer := time.AfterFunc(stall, func() { cancel(errStalled) })
	timer.Stop() // The time limit applies to the host, not to the reader.
	return &stallReader{body, ctx, cancel, timer, stall}
}

func (b *stallReader) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && errors.Is(context.Cause(b.ctx), errStalled) {
		err = errStalled // A closed connection returns some other error.
	}
	return n, err
}

func (b *stallReader) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
