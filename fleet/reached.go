package fleet

import "context"

// polledRelease counts the members that have polled a release, as it was at a
// generation or later: each set that one has and ever polled, and one at least, was
// that the last time. Where the store is away none is known to have: another server
// may have answered something else since.
func (f *Fleet) polledRelease(ctx context.Context, members []*Member, release string, generation int64) (n int) {
	var names []string
	for _, m := range members {
		names = append(names, m.Cluster.Name)
	}
	polls, err := f.lastPolls(ctx, names)
	if err != nil {
		f.log.Warn("last polls are not known, so that no rollout goes on", "err", err)
		return 0
	}
	for _, m := range members {
		if m.has(polls[m.Cluster.Name], release, generation) {
			n++
		}
	}
	return n
}

// has tells whether the last polls of the member's sets were of a release. Of a set
// that it has no more nobody will poll another.
func (m *Member) has(polls []Poll, release string, generation int64) bool {
	polled := false
	for _, p := range polls {
		if m.bodies[p.Set] == nil {
			continue
		}
		if p.Release != release || p.Generation < generation {
			return false
		}
		polled = true
	}
	return polled
}
