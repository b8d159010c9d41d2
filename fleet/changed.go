package fleet

import "sync"

// bell tells any number of others that something has happened.
type bell struct {
	mu   sync.Mutex
	next chan struct{}
}

// heard is closed when the bell rings next.
func (b *bell) heard() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

// Changed is closed once there is another view, or where nothing is served yet,
// another change in the log. Take it before looking at either.
func (f *Fleet) Changed() <-chan struct{} { return f.moved.heard() }
