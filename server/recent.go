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
	known map[digest]bool
	order [1024]digest
	next  int
}

// again tells whether the signature was there before, and notes it.
func (r *recent) again(signature []byte) bool {
	sum := sha256.Sum256(signature)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[sum] {
		return true
	}
	if r.known == nil {
		r.known = map[digest]bool{}
	}
	delete(r.known, r.order[r.next])
	r.known[sum], r.order[r.next] = true, sum
	r.next = (r.next + 1) % len(r.order)
	return false
}
