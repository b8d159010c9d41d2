package fleet

import (
	"iter"
	"slices"
)

// roster is the members of a view, sorted by name. It is immutable: another one has other
// members in their places, and shares with it the pages that they are not on, so that a
// write to one of ten thousand clusters does not copy where the others are.
type roster struct {
	pages []*[pageSize]*Member // nil beyond count
	count int
}

const pageSize = 128

// rosterOf takes members that are sorted by name.
func rosterOf(members []*Member) roster {
	r := roster{count: len(members)}
	for page := range slices.Chunk(members, pageSize) {
		r.pages = append(r.pages, new([pageSize]*Member))
		copy(r.pages[len(r.pages)-1][:], page)
	}
	return r
}

func (r roster) at(place int) *Member { return r.pages[place/pageSize][place%pageSize] }

// all goes through the members with their places.
func (r roster) all() iter.Seq2[int, *Member] {
	return func(yield func(int, *Member) bool) {
		for place := range r.count {
			if !yield(place, r.at(place)) {
				return
			}
		}
	}
}

// list is a slice of its own.
func (r roster) list() []*Member {
	members := make([]*Member, 0, r.count)
	for _, m := range r.all() {
		members = append(members, m)
	}
	return members
}

// some tells whether any member is so.
func (r roster) some(so func(*Member) bool) bool {
	for _, m := range r.all() {
		if so(m) {
			return true
		}
	}
	return false
}

// with has members, in turn, in those places.
func (r roster) with(places []int, members []*Member) roster {
	pages := slices.Clone(r.pages)
	for i, place := range places {
		page := &pages[place/pageSize]
		if *page == r.pages[place/pageSize] {
			own := **page
			*page = &own
		}
		(*page)[place%pageSize] = members[i]
	}
	return roster{pages, r.count}
}
