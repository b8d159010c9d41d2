package main

import (
	"fmt"
	"slices"
	"time"
)

// commitAll pushes commits that change the inputs of every cluster. It waits until one is
// served before it pushes the next.
func (s *servers) commitAll() {
	for n := 0; !s.ended(); n++ {
		s.repo.write(s.fleet.file, fmt.Sprintf(s.fleet.text, n))
		revision := s.repo.commit(fmt.Sprint("commit ", n))
		s.await(revision, func() bool { return s.revisions[revision] || s.ended() })
		s.commits++
		s.pause(500*time.Millisecond, 5*time.Second)
	}
}

// pause waits for the short time, or for the long time in a soak test.
func (s *servers) pause(short, long time.Duration) {
	if s.soak > 0 {
		short = long
	}
	select {
	case <-s.done:
	case <-time.After(short):
	}
}

// report logs the measurements, and checks them in a soak test.
func (s *servers) report() {
	seen, late := slices.Sorted(slices.Values(s.seen)), slices.Sorted(slices.Values(s.late))
	s.t.Logf("%s: %d polls, %d of them tried twice, %d answers given by both servers, %d commits, %d acknowledged writes",
		time.Since(s.start).Round(time.Second), s.polls, s.retried, s.shared, s.commits, s.acks)
	s.t.Logf("a write is visible on the other server after %s (median), %s (p99), %s (maximum), for %d writes; %d more were made around a restart",
		at(seen, 0.5), at(seen, 0.99), at(seen, 1), len(seen), s.troubled)
	s.t.Logf("a poll through the balancer is older than the newest known generation by %s (p99), %s (maximum); %d of %d are older than the last poll of their cluster, %d of these more than %s after it",
		at(late, 0.99), at(late, 1), s.back, len(late), s.backLate, longAgo)
	if s.soak == 0 {
		return
	}
	if p99 := at(seen, 0.99); p99 >= 100*time.Millisecond {
		s.t.Errorf("a write is visible on the other server after %s at the 99th percentile, want less than 100 ms", p99)
	}
	if s.backLate > 0 {
		s.t.Errorf("%d polls got an older generation than the cluster had more than %s before", s.backLate, longAgo)
	}
}

// at returns a quantile of sorted values.
func at(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))].Round(10 * time.Microsecond)
}
