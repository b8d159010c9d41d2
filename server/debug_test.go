package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/server"
)

func listenOn(t *testing.T, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	must(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// A heap may contain credentials.
func TestProfilesAreServedToThisMachineOnly(t *testing.T) {
	t.Parallel()
	public := listenOn(t, "0.0.0.0:0")
	if err := server.ServeDebug(t.Context(), public); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("on %s = %v, want that it needs a loopback address", public.Addr(), err)
	}
	ln := listenOn(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.ServeDebug(ctx, ln) }()
	for host, want := range map[string]int{"": http.StatusOK, "localhost:6060": http.StatusOK, "rebound.example.com": http.StatusMisdirectedRequest} {
		r, err := http.NewRequest(http.MethodGet, "http://"+ln.Addr().String()+"/debug/pprof/goroutine?debug=1", nil)
		must(t, err)
		r.Host = host
		answer, err := http.DefaultClient.Do(r)
		must(t, err)
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != want || (want == http.StatusOK) != strings.Contains(string(text), "goroutine profile") {
			t.Errorf("for host %q = %d %.80s, want %d", host, answer.StatusCode, text, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ServeDebug = %v once it is stopped, want nil", err)
	}
	if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("it still listens")
	}
}

func TestTheServerHasNoProfiles(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.get("/debug/pprof/").problem(t, http.StatusNotFound, "not-found")
}
