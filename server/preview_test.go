package server_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server"
	"github.com/tributary-gitops/tributary/server/api"
)

const sendPreview = "/api/v1/preview?revision=main@sha1:1234"

// A preview costs as much as a release, and any viewer can ask for one.
func TestPreviewsAreMadeOneAtATime(t *testing.T) {
	t.Parallel()
	begun, end := make(chan bool), make(chan bool)
	h := startLive(t, func(c *server.Config) {
		c.ReadTree = func(_ context.Context, r io.Reader) (fs.FS, error) {
			begun <- true
			<-end
			_, err := io.Copy(io.Discard, r)
			return nil, errors.Join(fleet.Problems{{Message: "is told"}}, err)
		}
	})
	first := make(chan reply)
	go func() { first <- h.change("POST", sendPreview, api.SnapshotType, "x") }()
	<-begun
	other := h.change("POST", sendPreview, api.SnapshotType, "x")
	other.problem(t, 429, "too-many-requests")
	if other.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.get("/api/v1/preview?ref=next").problem(t, 429, "too-many-requests")
	close(end)
	(<-first).problem(t, 422, "invalid")
}

func TestSnapshotsOfPreviewsAreBounded(t *testing.T) {
	t.Parallel()
	h := startLive(t, func(c *server.Config) {
		c.Limits.SnapshotBytes = 2 << 20
		c.ReadTree = func(_ context.Context, r io.Reader) (fs.FS, error) {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return nil, err
			}
			return nil, fleet.Problems{{Message: "is told"}}
		}
	})
	h.change("POST", sendPreview, api.SnapshotType, string(make([]byte, 2<<20))).problem(t, 422, "invalid") // more than other routes accept
	tooLong := make([]byte, 2<<20+1)
	h.change("POST", sendPreview, api.SnapshotType, string(tooLong)).problem(t, 413, "too-long")
	h.change("POST", sendPreview, jsonDoc, "{}").problem(t, 415, "media-type")
	for _, path := range []string{"/api/v1/preview", "/api/v1/preview?revision=", "/api/v1/preview?revision=a%0ab", sendPreview + "&ref=x"} {
		h.change("POST", path, api.SnapshotType, "x").problem(t, 400, "bad-request")
	}
	h.get("/api/v1/preview").problem(t, 400, "bad-request")
	h.get("/api/v1/preview?ref=").problem(t, 400, "bad-request")
}

// A viewer who hangs up must not keep others from previewing.
func TestPreviewEndsWithItsClient(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan bool, 1), make(chan error, 1)
	h := startLive(t, func(c *server.Config) {
		c.ReadTree = func(ctx context.Context, r io.Reader) (fs.FS, error) {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return nil, err
			}
			select {
			case begun <- true:
				<-ctx.Done()
				ended <- ctx.Err()
				return nil, ctx.Err()
			default: // the next one
				return nil, fleet.Problems{{Message: "is told"}}
			}
		}
	})
	ctx, hangUp := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+sendPreview, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", api.SnapshotType)
	go func() {
		<-begun
		begun <- true // so that the next one does not wait
		hangUp()
	}()
	if answer, err := http.DefaultClient.Do(r); err == nil {
		_ = answer.Body.Close()
		t.Fatalf("%s, want no answer", answer.Status)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the preview ended with %v", err)
	}
	for { // the handler returns a moment after the preview has ended
		if got := h.change("POST", sendPreview, api.SnapshotType, "x"); got.status != http.StatusTooManyRequests {
			got.problem(t, 422, "invalid")
			return
		}
	}
}
