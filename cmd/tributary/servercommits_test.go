package main

import (
	"fmt"
	"slices"
	"time"
)

// commitAll pushes commits that change what every cluster is served, one after the
// other is.
func (s *servers) commitAll() {
	for n := 0; !s.ended(); n++ {
		s.repo.write(s.fleet.file, fmt.Sprintf(s.fleet.text, n))
		revision := s.repo.commit(fmt.Sprint("commit ", n))
		s.await(revision, func() bool { return s.revisions[revision] || s.ended() })
		s.commits++
		s.pause(500*time.Millisecond, 5*time.Second)
	}
}

// pause is short, or long where the run is.
func (s *servers) pause(short, long time.Duration) {
	if s.soak > 0 {
		short = long
	}
	select {
	case <-s.done:
	case <-time.After(short):
	}
}

// report tells what was measured, and where that is asked for holds it against what
// must be.
func (s *servers) report() {
	seen, late := slices.Sorted(slices.Values(s.seen)), slices.Sorted(slices.Values(s.late))
	s.t.Logf("%s: %d polls, %d of them tried twice, %d answers given by both servers, %d commits, %d acknowledged writes",
		time.Since(s.start).Round(time.Second), s.polls, s.retried, s.shared, s.commits, s.acks)
	s.t.Logf("a write is seen on the other server after %s (median), %s (p99), %s (worst), of %d; %d more were made around a restart",
		at(seen, 0.5), at(seen, 0.99), at(seen, 1), len(seen), s.troubled)
	s.t.Logf("a poll through the balancer is behind what was seen before by %s (p99), %s (worst); %d of %d are behind their own last one, %d of these more than %s after it",
		at(late, 0.99), at(late, 1), s.back, len(late), s.backLate, longAgo)
	if s.soak == 0 {
		return
	}
	if p99 := at(seen, 0.99); p99 >= 100*time.Millisecond {
		s.t.Errorf("a write is seen on the other server after %s at the 99th percentile, want less than 100 ms", p99)
	}
	if s.backLate > 0 {
		s.t.Errorf("%d polls are answered with less than the cluster had before, more than %s ago", s.backLate, longAgo)
	}
}

// at is the value below which that part of the sorted ones is.
func at(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))].Round(10 * time.Microsecond)
}
