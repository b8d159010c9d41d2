package fleet

import (
	"hash/maphash"
	"iter"
	"maps"
)

// shelves is an immutable map. One with some other values shares with it the shelves that
// they are not on, so that who changes one of ten thousand does not copy the others.
type shelves[V any] struct {
	all   *[shelfCount]map[string]*V // nil for an empty one
	count int
}

const shelfCount = 128

var shelfSeed = maphash.MakeSeed()

func shelfOf(key string) int { return int(maphash.String(shelfSeed, key) % shelfCount) }

// get is the value of a key, or nil.
func (s shelves[V]) get(key string) *V {
	if s.all == nil {
		return nil
	}
	return s.all[shelfOf(key)][key]
}

// each goes through all, in no order.
func (s shelves[V]) each() iter.Seq2[string, *V] {
	return func(yield func(string, *V) bool) {
		if s.all == nil {
			return
		}
		for _, shelf := range s.all {
			for key, value := range shelf {
				if !yield(key, value) {
					return
				}
			}
		}
	}
}

// with has other values of those keys; none where it is nil.
func (s shelves[V]) with(values map[string]*V) shelves[V] {
	next := shelves[V]{new([shelfCount]map[string]*V), s.count}
	if s.all != nil {
		*next.all = *s.all
	}
	var own [shelfCount]bool
	for key, value := range values {
		n := shelfOf(key)
		if !own[n] {
			own[n], next.all[n] = true, maps.Clone(next.all[n])
		}
		if next.all[n] == nil {
			next.all[n] = map[string]*V{}
		}
		shelf := next.all[n]
		next.count -= len(shelf)
		if shelf[key] = value; value == nil {
			delete(shelf, key)
		}
		next.count += len(shelf)
	}
	return next
}
