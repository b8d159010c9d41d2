package server

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// pace bounds how often each of many may do something. It takes no lock, and its
// memory stays the same, however many there are.
//
// Of each it knows one number, the time at which all that he did would have been due
// at the rate (GCRA): he may be ahead of the clock by the burst. The numbers are in
// two tables, at places that a hash gives which nobody outside knows. Who shares a
// place with others is ahead there with them, but he is over the rate only where he is
// in both, so that one who sends too much slows down next to nobody but himself.
type pace struct {
	seed         maphash.Seed
	start        time.Time
	every, burst time.Duration
	due          [2][paceSlots]atomic.Int64 // since start
}

const paceSlots = 1 << 15

// newPace returns one of so many a second, of which the burst may come at once; nil,
// which bounds nothing, for less than one.
func newPace(perSecond float64, burst time.Duration) *pace {
	if perSecond <= 0 {
		return nil
	}
	return &pace{seed: maphash.MakeSeed(), start: time.Now(), every: time.Duration(float64(time.Second) / perSecond), burst: burst}
}

// payer is who is counted: a credential, and of a poll with one that
// reads many clusters, the cluster.
type payer struct{ name, token, cluster string }

// payer of requests that are not polls.
func (who identity) payer() payer {
	p := payer{name: who.name}
	if who.token != nil {
		p.token = who.token.ID
	}
	return p
}

// take counts one more for who, and returns 0; or for how long he must wait before.
func (p *pace) take(who payer) time.Duration {
	if p == nil {
		return 0
	}
	return p.takeAt(who, time.Since(p.start))
}

func (p *pace) takeAt(who payer, now time.Duration) time.Duration {
	sum := maphash.Comparable(p.seed, who)
	places := [2]*atomic.Int64{&p.due[0][sum%paceSlots], &p.due[1][sum>>32%paceSlots]}
	ahead := min(time.Duration(places[0].Load()), time.Duration(places[1].Load())) - now
	if ahead > p.burst {
		return ahead - p.burst
	}
	for _, place := range places {
		p.add(place, now)
	}
	return 0
}

// add makes it due one later, but never by more than the burst and one, so that nobody
// waits long for what others at the place have sent.
func (p *pace) add(place *atomic.Int64, now time.Duration) {
	for {
		due := place.Load()
		next := min(max(time.Duration(due), now)+p.every, now+p.burst+p.every)
		if place.CompareAndSwap(due, int64(next)) {
			return
		}
	}
}
