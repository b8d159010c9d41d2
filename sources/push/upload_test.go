package push

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/image-spec/specs-go/v1"
	ociremote "oras.land/oras-go/v2/registry/remote"

	"github.com/tributary-gitops/tributary/fleet"
)

func imageOf(t *testing.T, data []byte) *image {
	t.Helper()
	i, err := newImage(&archive{data: data}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestStalledUploadIsAnError uses a registry that reads nothing of a blob and
// does not answer either. The time limit does not affect the result.
func TestStalledUploadIsAnError(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			w.Header().Set("Location", "/v2/fleet/blobs/uploads/1")
			w.WriteHeader(http.StatusAccepted)
		case http.MethodPut:
			if r.ContentLength > 1<<20 {
				<-over
			}
			w.WriteHeader(http.StatusCreated)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	defer close(over)
	to, err := ociremote.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/fleet")
	if err != nil {
		t.Fatal(err)
	}
	to.PlainHTTP, to.Client = true, http.DefaultClient
	u := newUpload(t.Context(), imageOf(t, make([]byte, 64<<20)), nil, 100*time.Millisecond)
	if err := u.put(to, "v1"); !errors.Is(err, errSendStalled) {
		t.Errorf("put = %v, want %v", err, errSendStalled)
	}
}

// The time limit is for what is being sent. A registry may take longer to answer
// once it has everything.
func TestUploadStallsOnlyInTheMiddleOfABody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		read   func(body io.ReadCloser)
		stalls bool
	}{
		"in the middle": {func(b io.ReadCloser) { _, _ = io.ReadFull(b, make([]byte, 5)) }, true},
		"at the end":    {func(b io.ReadCloser) { _, _ = io.ReadAll(b) }, false},
		"closed":        {func(b io.ReadCloser) { _ = b.Close() }, false},
		"not begun":     {func(io.ReadCloser) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := imageOf(t, []byte("twelve bytes"))
			synctest.Test(t, func(t *testing.T) {
				u := newUpload(t.Context(), i, nil, time.Minute)
				body, err := u.Fetch(t.Context(), i.layer.Descriptor)
				if err != nil {
					t.Fatal(err)
				}
				c.read(body)
				time.Sleep(time.Hour) // of the test's own clock
				synctest.Wait()
				if stalled := errors.Is(context.Cause(u.ctx), errSendStalled); stalled != c.stalls {
					t.Errorf("an hour later the upload has stalled: %v, want %v", stalled, c.stalls)
				}
			})
		})
	}
}

func TestUploadCountsRepeatedRequestsOnce(t *testing.T) {
	t.Parallel()
	var got []int64
	i := imageOf(t, []byte("twelve bytes"))
	u := newUpload(t.Context(), i, func(done, _ int64) { got = append(got, done) }, time.Minute)
	for _, d := range []v1.Descriptor{i.layer.Descriptor, i.layer.Descriptor, i.config.Descriptor} {
		body, err := u.Fetch(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(body, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int64{0, 10, 0, 10, 10, 20}; !slices.Equal(got, want) {
		t.Errorf("reported %v, want %v", got, want)
	}
}

func TestPushHonorsRetryAfter(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]int{"": 1, "1": 2, "3600": 1} {
		asked := 0
		repeated := pushRetries.Transport(roundTrip(func(*http.Request) (*http.Response, error) {
			asked++
			answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Retry-After": {after}}, Body: http.NoBody}
			if asked == 1 {
				answer.StatusCode = http.StatusTooManyRequests
			}
			return answer, nil
		}))
		start := time.Now()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://registry.example", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := repeated.RoundTrip(request); err != nil || asked != want {
			t.Errorf("Retry-After %q: asked %d times, %v, want %d times", after, asked, err, want)
		}
		if waited := time.Since(start); after == "1" && waited < time.Second {
			t.Errorf("Retry-After %q: waited only %v", after, waited)
		}
	}
	if wasInterrupted(&fleet.RetryError{Err: errors.New("429"), After: time.Hour}) {
		t.Error("a registry that asks to wait for an hour is asked again")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
