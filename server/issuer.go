package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

// issuer is an OpenID Connect issuer. Nothing is asked of it before the first
// token comes, and the server runs without it: a fetch is made by a goroutine
// of its own, one at a time, and neither who guesses nor a failing issuer can
// have them come faster than the times below.
type issuer struct {
	url, audience string
	log           *slog.Logger
	client        atomic.Pointer[http.Client]
	patience      time.Duration              // what a request waits for a fetch
	current       atomic.Pointer[issuerKeys] // nil until the first good fetch

	mu       sync.Mutex    // never held while the issuer is asked
	under    chan struct{} // closed when the fetch under way ends; nil where none is
	waiting  int           // for it
	next     time.Time     // not before then is fetched again
	failures int           // since the last good fetch
	err      error         // of the last fetch
}

const (
	fetchTime      = 10 * time.Second // what one fetch may take
	mostWaiting    = 100              // requests; the rest are told to come back
	betweenGood    = 10 * time.Second // a token that names an unknown key sets off no fetch sooner
	firstBackoff   = time.Second
	longestBetween = time.Minute
	keysFresh      = 10 * time.Minute // then they are fetched anew, so that a key taken away is forgotten
)

var errNoAnswer = fmt.Errorf("%w: it does not answer, so that its tokens cannot be verified: try again, or use another credential", api.ErrIssuer)

// verify returns the claims of a token that the issuer made for this server.
// Keys that are known are used without asking the issuer. An errIssuer is for
// tokens that cannot be judged now; any other error is the token's fault.
func (i *issuer) verify(ctx context.Context, token string) (claims map[string]any, err error) {
	known := i.current.Load()
	if known != nil {
		i.refreshStale(known)
		if claims, err = known.verify(ctx, token); !errors.Is(err, errUnknownKey) {
			return claims, err
		}
	}
	if err := i.refresh(ctx); err != nil {
		return nil, err
	}
	return i.current.Load().verify(ctx, token)
}

// refreshStale does not wait: old keys are good until there are new ones.
func (i *issuer) refreshStale(known *issuerKeys) {
	if time.Since(known.fetched) < keysFresh {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.begin()
}

// refresh waits for a fetch, where one is under way or may be made, and
// returns how the last one went.
func (i *issuer) refresh(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.begin()
	if under := i.under; under != nil {
		if i.waiting >= mostWaiting {
			return errNoAnswer
		}
		i.waiting++
		i.mu.Unlock()
		ended := await(ctx, i.patience, under)
		i.mu.Lock()
		i.waiting--
		if !ended {
			return errNoAnswer
		}
	}
	return i.err
}

func await(ctx context.Context, patience time.Duration, done <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// begin has a fetch made if it is time for one. The caller holds mu.
func (i *issuer) begin() {
	if i.under != nil || time.Now().Before(i.next) {
		return
	}
	i.under = make(chan struct{})
	go i.fetch()
}

func (i *issuer) fetch() {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	defer cancel()
	keys, err := fetchKeys(ctx, i.client.Load(), i.url, i.audience)
	if err == nil {
		i.current.Store(keys)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended(err)
	close(i.under)
	i.under = nil
}

// ended notes how a fetch went, and when the next may be made.
func (i *issuer) ended(err error) {
	if err == nil {
		i.failures, i.err, i.next = 0, nil, time.Now().Add(betweenGood)
		return
	}
	i.next = time.Now().Add(min(firstBackoff<<min(i.failures, 10), longestBetween))
	i.failures++
	i.err = errNoAnswer // callers need not learn more of the network than that
	i.log.Warn("the issuer of tokens cannot be asked", "issuer", i.url, "again_at", i.next, "err", err)
}
