package server_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/server"
)

// guesser sends requests to a server in a synctest bubble.
type guesser struct {
	t      *testing.T
	server *server.Server
	guess  atomic.Int64
}

func newGuesser(t *testing.T) *guesser {
	t.Helper()
	return &guesser{t: t, server: newServer(t, server.Config{TokensFile: tokensFile(t)})}
}

// send returns the answer and the time that it took.
func (g *guesser) send(ctx context.Context, path, address, token string) (*http.Response, time.Duration) {
	g.t.Helper()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	r.RemoteAddr = address
	r.Header.Set("Authorization", "Bearer "+token)
	w, start := httptest.NewRecorder(), time.Now()
	g.server.ServeHTTP(w, r)
	took := time.Since(start)
	response := w.Result()
	response.Request = r
	if err := conforms(r, response, w.Body.Bytes()); err != nil {
		g.t.Errorf("%s: %d, which the document does not describe: %v", path, response.StatusCode, err)
	}
	return response, took
}

// wrong sends a new credential that is not valid.
func (g *guesser) wrong(path, address string) (*http.Response, time.Duration) {
	g.t.Helper()
	return g.send(g.t.Context(), path, address, fmt.Sprintf("guess-%d", g.guess.Add(1)))
}

const releases = "/api/v1/releases"

func TestFailedAttemptsFromAnAddressAreSlowed(t *testing.T) {
	t.Parallel()
	for _, path := range []string{kedaPath, releases} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuesser(t)
			var before time.Duration
			for n := 1; n <= 12; n++ {
				response, took := g.wrong(path, fmt.Sprintf("192.0.2.1:%d", n))
				switch {
				case response.StatusCode != http.StatusUnauthorized:
					t.Errorf("attempt %d = %d, want 401", n, response.StatusCode)
				case n <= 5 && took != 0, n > 5 && took == 0, took < before, n == 12 && took != 2*time.Second:
					t.Errorf("attempt %d took %s, the one before it %s", n, took, before)
				}
				before = took
			}
			time.Sleep(10 * time.Minute)
			if _, took := g.wrong(path, "192.0.2.1:1"); took != 0 {
				t.Errorf("ten minutes later: %s, want it forgotten", took)
			}
		})
	}
}

func TestACredentialIsSlowedFromEveryAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		var took time.Duration
		for n := range 12 {
			_, took = g.send(t.Context(), releases, fmt.Sprintf("192.0.2.%d:1", n), "revoked")
		}
		if took != 2*time.Second {
			t.Errorf("the twelfth took %s, want 2 s", took)
		}
	})
}

func TestIPv6IsSlowedByItsNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		var took time.Duration
		for n := range 12 {
			_, took = g.wrong(releases, fmt.Sprintf("[2001:db8::%x:1]:1", n))
		}
		if took != 2*time.Second {
			t.Errorf("within a /64 the twelfth took %s, want 2 s", took)
		}
		slowed := 0
		for n := range 20 {
			if _, took := g.wrong(releases, fmt.Sprintf("[2001:db8:0:%x::1]:1", n+1)); took > 0 {
				slowed++
			}
		}
		if slowed > 2 { // a few may share a slot
			t.Errorf("%d of 20 other networks are slowed", slowed)
		}
	})
}

// Clusters behind NAT share an address.
func TestAValidCredentialIsNeverSlowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		var all sync.WaitGroup
		for range 600 {
			all.Go(func() { g.wrong(kedaPath, "192.0.2.1:1") })
		}
		synctest.Wait()
		for path, want := range map[string]int{releases: http.StatusOK, kedaPath: http.StatusServiceUnavailable} { // no release yet
			response, took := g.send(t.Context(), path, "192.0.2.1:1", viewerToken)
			if response.StatusCode != want || took != 0 {
				t.Errorf("%s = %d after %s, want %d at once", path, response.StatusCode, took, want)
			}
		}
		all.Wait()
	})
}

func TestDelayedAnswersAreBoundedByAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		held, refused := g.flood(200, func(int) string { return "192.0.2.1:1" })
		if held != 8 || refused != 200-5-8 {
			t.Errorf("%d held, %d refused, want 8 and %d", held, refused, 200-5-8)
		}
		if response, took := g.wrong(releases, "192.0.2.1:1"); response.StatusCode != http.StatusUnauthorized || took == 0 {
			t.Errorf("afterwards = %d after %s, want 401 after some time", response.StatusCode, took)
		}
	})
}

func TestDelayedAnswersAreBoundedInTotal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		held, refused := g.flood(8*400, func(n int) string { return fmt.Sprintf("10.0.%d.%d:1", n%400/200, n%200) })
		if held != 256 || refused < 3*400-256 {
			t.Errorf("%d held, %d refused, want 256 and the rest", held, refused)
		}
	})
}

// flood sends n wrong credentials at once. It returns how many answers were delayed and
// how many requests were refused, once all are answered.
func (g *guesser) flood(n int, address func(int) string) (held, refused int) {
	var waiting, busy atomic.Int64
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			response, took := g.wrong(kedaPath, address(i))
			if took > 0 {
				waiting.Add(1)
			}
			if response.StatusCode != http.StatusTooManyRequests {
				return
			}
			busy.Add(1)
			if took > 0 || response.Header.Get("Retry-After") == "" || response.Header.Get("Connection") != "close" {
				g.t.Errorf("429 after %s with %v", took, response.Header)
			}
		})
	}
	all.Wait()
	return int(waiting.Load()), int(busy.Load())
}

func TestDelayEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		for range 12 {
			g.wrong(releases, "192.0.2.1:1")
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		if _, took := g.send(ctx, releases, "192.0.2.1:1", "guess"); took != 300*time.Millisecond {
			t.Errorf("held for %s, want 300 ms", took)
		}
	})
}

func TestCredentialsMayBeBinaryButNotLong(t *testing.T) {
	t.Parallel()
	binary, long := "\x00\xff\xfe:\n\x80"+strings.Repeat("\x01", 400), strings.Repeat("x", 513)
	file := writeFile(t, "tokens.yaml", `tokens:
- {name: binary, role: viewer, hash: "`+hash(binary)+`"}
- {name: fits, role: viewer, hash: "`+hash(long[:512])+`"}
- {name: long, role: viewer, hash: "`+hash(long)+`"}`)
	h := start(t, func(c *server.Config) { c.TokensFile = file })
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("flux:"+password))
	}
	for what, want := range map[string]int{
		basic(binary): http.StatusOK, basic(binary + "\x00"): http.StatusUnauthorized,
		basic(long[:512]): http.StatusOK, "Bearer " + long[:512]: http.StatusOK,
		basic(long): http.StatusUnauthorized, "Bearer " + long: http.StatusUnauthorized,
	} {
		if got := h.get(releases, "Authorization", what); got.status != want {
			t.Errorf("%.20q… (%d) = %d, want %d", what, len(what), got.status, want)
		}
	}
}
