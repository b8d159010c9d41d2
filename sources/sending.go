package sources

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/tributary-gitops/tributary/fleet"
)

// sendStallTimeout is how long a registry may accept no data.
const sendStallTimeout = time.Minute

// uploadTransport reports the bytes that are sent to the meter, and gives up on
// a registry that no longer accepts data. A push need not have a deadline of
// its own.
type uploadTransport struct {
	next  http.RoundTripper
	meter *meter
	stall time.Duration
}

var errSendStalled = errors.New("the registry stopped accepting data; try again")

func (t uploadTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body == nil || request.Body == http.NoBody {
		return t.next.RoundTrip(request)
	}
	ctx, cancel := context.WithCancelCause(request.Context())
	t.meter.start()
	timer := time.AfterFunc(t.stall, func() { cancel(errSendStalled) })
	sending := request.WithContext(ctx)
	sending.Body = &uploadBody{request.Body, t.meter, timer, t.stall}
	response, err := t.next.RoundTrip(sending)
	timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), errSendStalled) {
			err = errSendStalled
		}
		cancel(nil)
		return nil, err
	}
	response.Body = &responseBody{response.Body, cancel}
	return response, nil
}

// uploadBody is a request body, which is read as fast as the registry accepts
// it.
type uploadBody struct {
	io.ReadCloser
	meter *meter
	timer *time.Timer
	stall time.Duration
}

func (b *uploadBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.meter.add(int64(n))
	if err != nil {
		b.timer.Stop() // The time for the answer is limited elsewhere.
	} else {
		b.timer.Reset(b.stall)
	}
	return n, err
}

func (b *uploadBody) Close() error {
	b.timer.Stop()
	return b.ReadCloser.Close()
}

// responseBody releases the request's context when the answer is closed.
type responseBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *responseBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// meter counts the bytes that a push has sent. A repeated request is counted
// once.
type meter struct {
	total  int64
	report func(done, total int64)

	mu sync.Mutex
	// finished counts the bytes of complete blobs, and current those of the
	// request that is being sent.
	finished, current int64
}

func (m *meter) start() { m.set(func() { m.current = 0 }) }

func (m *meter) add(n int64) { m.set(func() { m.current += n }) }

func (m *meter) finishBlob(n int64) { m.set(func() { m.finished, m.current = m.finished+n, 0 }) }

func (m *meter) end() { m.set(func() { m.finished, m.current = m.total, 0 }) }

func (m *meter) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	if m.report != nil {
		m.report(min(m.finished+m.current, m.total), m.total)
	}
}

// pushTransport repeats failed requests, but not the one that sends a blob: the
// state of an interrupted upload is unknown.
type pushTransport struct{ direct, retrying http.RoundTripper }

func (t pushTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPut && strings.Contains(request.URL.Path, "/blobs/uploads/") {
		return t.direct.RoundTrip(request)
	}
	return t.retrying.RoundTrip(request)
}

// retryDelay reports whether a blob may be sent again after an error, and after
// how long.
func retryDelay(attempt int, err error) (time.Duration, bool) {
	var (
		retryErr *fleet.RetryError
		network  net.Error
	)
	backoff := retry.DefaultBackoff(attempt, nil)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), attempt >= pushAttempts:
		return 0, false
	case errors.As(err, &retryErr):
		return max(retryErr.After, backoff), retryErr.After <= maxRetryAfter
	case status(err) >= http.StatusInternalServerError, status(err) == http.StatusNotFound:
		return backoff, true
	}
	return backoff, status(err) == 0 && (errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
}

// pushPolicy says which requests are repeated.
type pushPolicy struct{}

const (
	pushAttempts = 5
	// maxRetryAfter is the longest wait that a registry may ask for before a
	// push gives up.
	maxRetryAfter = time.Minute
)

func (pushPolicy) Retry(attempt int, response *http.Response, err error) (time.Duration, error) {
	var retryErr *fleet.RetryError
	switch {
	case !errors.As(err, &retryErr):
		return retry.DefaultPolicy.Retry(attempt, response, err)
	case attempt >= pushAttempts, retryErr.After > maxRetryAfter:
		return -1, nil
	}
	return max(retryErr.After, retry.DefaultBackoff(attempt, nil)), nil
}
