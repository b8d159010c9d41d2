package server

import (
	"crypto/sha256"
	"sync"
)

// recent remembers the signatures of the last webhooks, so that one which is
// sent again, by its sender or by whoever overheard it, has no effect. Memory is
// bounded: what is forgotten costs one look when it comes back.
type recent struct {
	mu    sync.Mutex
	known map[digest]string // the provider that it was for
	order [1024]digest
	next  int
}

// again is the provider that the signature was there for before, "" for none; it
// is noted.
func (r *recent) again(signature []byte, provider string) string {
	sum := sha256.Sum256(signature)
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.known[sum]; before != "" {
		return before
	}
	if r.known == nil {
		r.known = map[digest]string{}
	}
	delete(r.known, r.order[r.next])
	r.known[sum], r.order[r.next] = provider, sum
	r.next = (r.next + 1) % len(r.order)
	return ""
}
