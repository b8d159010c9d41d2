package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

// The time limit is for the host, and not for what is done between two reads.
func TestBodyStallsOnlyWhileItIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		body := transport.NewStallReader(ctx, io.NopCloser(strings.NewReader("all of it")), cancel, time.Minute)
		for _, n := range []int{3, 6, 1} {
			time.Sleep(time.Hour) // of the test's own clock
			_, _ = body.Read(make([]byte, n))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Errorf("the context has ended: %v", context.Cause(ctx))
		}
	})
}

func TestStalledBodyIsAnError(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "some of it")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body := transport.NewStallReader(ctx, response.Body, cancel, 100*time.Millisecond)
	defer body.Close()
	if text, err := io.ReadAll(body); string(text) != "some of it" || !errors.Is(err, transport.ErrStalled) {
		t.Errorf("ReadAll = %q, %v, want some of it and then %v", text, err, transport.ErrStalled)
	}
}
