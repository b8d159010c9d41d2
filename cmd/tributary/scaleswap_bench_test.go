package main

import (
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/cmd/fleetgen/synthetic"
)

// BenchmarkPollsWhileReleasesSwap asks whether polls notice that releases go live: the
// 99th percentile of the time that a poll takes while each second a commit to the base of
// the default fleet goes live, which changes what every cluster gets, as a ratio to that
// without. Clusters poll in turn, 500 a second, over keep-alive connections, with gzip; a
// poll is measured from when it is due, and none waits for another. So the first poll of an
// answer, which has it compressed, is among them. Windows with and without commits
// alternate; the ratio is that of the medians of their percentiles.
func BenchmarkPollsWhileReleasesSwap(b *testing.B) {
	s := newServing(b, newOrigin(b, synthetic.Default()), "sqlite:"+filepath.Join(b.TempDir(), "tributary.db"))
	defer s.kill()
	s.swapWindow(false) // it gets warm
	var with, without []float64
	for range 7 {
		without = append(without, s.swapWindow(false))
		with = append(with, s.swapWindow(true))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle(without), "still-p99-µs")
	b.ReportMetric(middle(with), "swapping-p99-µs")
	b.ReportMetric(middle(with)/middle(without), "ratio")
}

const (
	swapWindow   = 4 * time.Second
	pollsASecond = 500
)

// swapWindow polls for a while, with a commit in every second or without, and returns the
// 99th percentile of what a poll took, in microseconds.
func (s serving) swapWindow(swapping bool) float64 {
	s.t.Helper()
	var commits sync.WaitGroup
	var last string
	start := time.Now()
	if swapping {
		commits.Go(func() {
			for due := start; time.Since(start) < swapWindow; due = due.Add(time.Second) {
				time.Sleep(time.Until(due))
				last = s.o.commitBase()
				s.look()
			}
		})
	}
	took := make([]float64, int(swapWindow.Seconds())*pollsASecond)
	var polls sync.WaitGroup
	for n := range took {
		due := start.Add(time.Second * time.Duration(n) / pollsASecond)
		time.Sleep(time.Until(due))
		polls.Go(func() {
			s.poll(n)
			took[n] = float64(time.Since(due).Microseconds())
		})
	}
	polls.Wait()
	commits.Wait()
	if swapping {
		s.await(last)
		time.Sleep(time.Second) // and it comes to rest
	}
	return percentile(took, 99)
}

// poll polls the largest set of a cluster, compressed, over a connection that is kept.
func (s serving) poll(n int) {
	path := s.url + "/api/v1/flux/clusters/" + s.o.ClusterName(n*7%s.o.Clusters) + "/platform-components"
	r, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	r.Header.Set("Accept-Encoding", "gzip")
	answer, err := s.client.Do(r)
	if err != nil {
		s.t.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		s.t.Errorf("a poll = %d", answer.StatusCode)
	}
}
