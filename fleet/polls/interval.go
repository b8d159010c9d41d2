package polls

import (
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// maxFirstInterval limits the interval that is assumed from two polls alone.
const maxFirstInterval = time.Hour

// setInterval sets the gap and the interval of a poll that follows before. The interval is that
// of the cluster, not of the polls that one server sees: where several servers take turns, each
// continues from the last poll that any of them has saved. Polls by hand have none.
func setInterval(p, before *fleet.Poll) {
	if p.IsByHand() {
		return
	}
	p.Gap, p.Every = p.At.Sub(before.At), before.Every
	switch {
	case p.Gap <= 0: // two polls at once, or a clock that was set back
		p.Gap = before.Gap
	case before.Every == 0:
		p.Every = min(p.Gap, maxFirstInterval)
	default:
		p.Every += correction(before.Every, p.Gap, before.Gap)
	}
	p.Every = p.Every.Round(time.Millisecond)
}

// correction returns by how much a gap changes a smoothed interval. A gap weighs as much as it is
// long, against four times the interval: a few retries a second apart have almost no effect,
// while a cluster that starts to poll more often is followed within some time. A gap of more than
// twice the interval is an outage and counts as twice the interval, unless another such gap came
// before it.
func correction(every, gap, before time.Duration) time.Duration {
	gap = min(gap, max(2*every, before))
	inertia := 4 * every
	if gap < every { // a long interval may stem from an outage, and must not take as long to shrink
		inertia = min(inertia, 4*maxFirstInterval)
	}
	weight := float64(gap) / float64(gap+inertia)
	return time.Duration(weight * float64(gap-every))
}
