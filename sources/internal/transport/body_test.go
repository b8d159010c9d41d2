package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

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
