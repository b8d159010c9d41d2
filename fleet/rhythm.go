package fleet

import "time"

// unknownRhythm is the interval assumed for a cluster that has polled only once.
const unknownRhythm = time.Hour

// after sets how long a poll came after the one before it, and how often the cluster
// comes by that. The rhythm is the cluster's and not that of what one server sees of
// it: where several take turns, each goes on from the last poll that any of them has
// saved.
func (p *Poll) after(before *Poll) {
	p.Gap, p.Every = p.At.Sub(before.At), before.Every
	switch {
	case p.Gap <= 0: // two at once, or a clock that was put back
		p.Gap = before.Gap
	case before.Every == 0:
		p.Every = min(p.Gap, unknownRhythm)
	default:
		p.Every += correction(before.Every, p.Gap, before.Gap)
	}
	p.Every = p.Every.Round(time.Millisecond)
}

// correction is by how much a rhythm is another after a gap. A gap has weight by its
// length, against four times the rhythm: a few retries a second apart have next to
// none, while one who has come to poll more often is believed within some time. A gap
// more than twice as long is an outage, and counts as twice, until another follows.
func correction(every, gap, before time.Duration) time.Duration {
	gap = min(gap, max(2*every, before))
	inertia := 4 * every
	if gap < every { // a long rhythm may come of an outage, and must not take as long to get over
		inertia = min(inertia, 4*unknownRhythm)
	}
	weight := float64(gap) / float64(gap+inertia)
	return time.Duration(weight * float64(gap-every))
}
