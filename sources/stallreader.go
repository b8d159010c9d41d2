package sources

import (
	"context"
	"errors"
	"io"
	"time"
)

// stall is longer than any host needs to think about the next bytes.
const stallTimeout = time.Minute

var errStalled = errors.New("the host stopped sending in the middle of an answer; it may be overloaded, or the connection may be broken")

// steadyBody is a body that ends in an error where nothing of it comes for long,
// because what a fetch may take in all is for the largest of them.
type stallReader struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
}

// newSteadyBody takes over cancel, which must end what is waited for.
func newStallReader(ctx context.Context, body io.ReadCloser, cancel context.CancelCauseFunc, stall time.Duration) *stallReader {
	timer := time.AfterFunc(stall, func() { cancel(errStalled) })
	timer.Stop() // What is waited for is the host, not whoever reads.
	return &stallReader{body, ctx, cancel, timer, stall}
}

func (b *stallReader) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && errors.Is(context.Cause(b.ctx), errStalled) {
		err = errStalled // Whatever a connection that was ended says.
	}
	return n, err
}

func (b *stallReader) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
