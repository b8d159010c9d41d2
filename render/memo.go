package render

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/tributary-gitops/tributary/fleet"
)

// memo remembers. At a bound it forgets everything, because while a repo lives
// deltas bring it ever new texts.
type memo struct {
	known sync.Map
	count atomic.Int64
	most  int64 // maxMemo where it is 0
}

// maxMemo is how many readings are remembered, and memoOfCluster how many for each cluster
// that there are: more than the files of a fleet have.
const maxMemo, memoOfCluster = 50_000, 8

// bound is how much of a fleet of so many clusters is remembered.
func bound(clusters int) int64 { return int64(max(maxMemo, memoOfCluster*clusters)) }

func (m *memo) load(key any) (any, bool) { return m.known.Load(key) }

// share stores a value, or returns the one that another has stored meanwhile.
func (m *memo) share(key, value any) any {
	if other, loaded := m.known.LoadOrStore(key, value); loaded {
		return other
	}
	if m.count.Add(1) > cmp.Or(m.most, maxMemo) {
		m.known.Clear()
		m.count.Store(0)
	}
	return value
}

func (m *memo) store(key, value any) {
	if m.count.Add(1) > cmp.Or(m.most, maxMemo) {
		m.known.Clear()
		m.count.Store(1)
	}
	m.known.Store(key, value)
}

// result is what a reading gave, remembered.
type result[T any] struct {
	value T
	err   error
}

// once returns what read gave for a key, reading at most a few times when many
// ask at once.
func once[T any](m *memo, key any, read func() (T, error)) (T, error) {
	if known, ok := m.load(key); ok {
		found := known.(result[T])
		return found.value, found.err
	}
	value, err := read()
	m.store(key, result[T]{value, err})
	return value, err
}

// patchText is a patch without its place in the file: what it does.
type patchText struct {
	patch   string
	target  fleet.Target
	aimed   bool
	options fleet.PatchOptions
}

func patchKey(p fleet.Patch) patchText {
	key := patchText{patch: p.Patch, options: p.Options}
	if p.Target != nil {
		key.target, key.aimed = *p.Target, true
	}
	return key
}

// resourceText is a resource as it was written: by the author of a file, or as
// a delta's JSON.
type resourceText struct {
	text  string
	delta bool
}
