package transport

import (
	"context"
	"errors"
	"io"
	"time"
)

// LimitedBody returns an error once a server has sent more than it may.
type LimitedBody struct {
	io.ReadCloser
	Left int64
	Err  error
}

// NewLimitedBody returns a body of which at most left bytes can be read. Further
// reads return err.
func NewLimitedBody(body io.ReadCloser, left int64, err error) *LimitedBody {
	return &LimitedBody{body, left, err}
}

func (b *LimitedBody) Read(p []byte) (int, error) {
	if b.Left <= 0 {
		return 0, b.Err
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.Left)])
	b.Left -= int64(n)
	return n, err
}

// StallTimeout is longer than any host needs to produce the next bytes.
const StallTimeout = time.Minute

// ErrStalled is the error of a StallReader whose host has stopped sending.
var ErrStalled = errors.New("the host stopped sending in the middle of an answer; it may be overloaded, or the connection may be broken")

// StallReader is a body whose Read fails if nothing arrives for a while. The
// time limit of a whole fetch is no help, because it has to be long enough for
// the largest one.
type StallReader struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
}

// NewStallReader takes ownership of cancel, which must abort pending reads.
func NewStallReader(ctx context.Context, body io.ReadCloser, cancel context.CancelCauseFunc, stall time.Duration) *StallReader {
	timer := time.AfterFunc(stall, func() { cancel(ErrStalled) })
	timer.Stop() // The time limit applies to the host, not to the reader.
	return &StallReader{body, ctx, cancel, timer, stall}
}

func (b *StallReader) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && errors.Is(context.Cause(b.ctx), ErrStalled) {
		err = ErrStalled // A closed connection returns some other error.
	}
	return n, err
}

// Close releases the context.
func (b *StallReader) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
