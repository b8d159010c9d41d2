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
	// earlier is what the revision before knew; nil for nothing.
	earlier atomic.Pointer[memo]
}

// load also looks into what the revision before knew, and keeps what it finds there.
func (m *memo) load(key any) (any, bool) {
	if value, ok := m.known.Load(key); ok {
		return value, true
	}
	earlier := m.earlier.Load()
	if earlier == nil {
		return nil, false
	}
	value, ok := earlier.known.Load(key)
	if ok {
		m.store(key, value, maxMemo)
	}
	return value, ok
}

func (m *memo) store(key, value any, most int64) {
	if m.count.Add(1) > most {
		m.known.Clear()
		m.count.Store(1)
	}
	m.known.Store(key, value)
}

// readings are what is known of texts, whatever tree they stand in. Each revision of a
// fleet repo has a memo of its own, so that what no revision has any more is forgotten
// with the one after the next.
type readings struct{ last atomic.Pointer[memo] }

// next is the memo of the next revision. Of nil readings it knows nothing.
func (r *readings) next() *memo {
	m := &memo{}
	if r == nil {
		return m
	}
	if last := r.last.Swap(m); last != nil {
		last.earlier.Store(nil)
		m.earlier.Store(last)
	}
	return m
}

// result is what a reading gave, remembered.
type result[T any] struct {
	value T
	err   error
}

// once returns what read gave for a key, reading at most a few times when many
// ask at once. read runs in withKustomize.
func once[T any](m *memo, key any, read func() (T, error)) (T, error) {
	if known, ok := m.load(key); ok {
		found := known.(result[T])
		return found.value, found.err
	}
	var value T
	err := withKustomize(func() (err error) {
		value, err = read()
		return err
	})
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
