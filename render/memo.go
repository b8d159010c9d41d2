package render

import (
	"sync"
	"sync/atomic"

	"github.com/tributary-gitops/tributary/fleet"
)

// maxMemo is how many readings are remembered.
const maxMemo = 50_000

// memo remembers. At a bound it forgets everything, because while a repo lives
// deltas bring it ever new texts.
type memo struct {
	known sync.Map
	count atomic.Int64
}

func (m *memo) load(key any) (any, bool) { return m.known.Load(key) }

// share stores a value, or returns the one that another has stored meanwhile.
func (m *memo) share(key, value any, most int64) any {
	if other, loaded := m.known.LoadOrStore(key, value); loaded {
		return other
	}
	if m.count.Add(1) > most {
		m.known.Clear()
		m.count.Store(0)
	}
	return value
}

func (m *memo) store(key, value any, most int64) {
	if m.count.Add(1) > most {
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
	m.store(key, result[T]{value, err}, maxMemo)
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
