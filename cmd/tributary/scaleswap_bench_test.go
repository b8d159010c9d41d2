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

// BenchmarkPollsWhileReleasesSwap measures whether polls are slower while releases go live. It
// reports the 99th percentile of the time of a poll while a commit goes live each second, to
// the file of one cluster or to the base, relative to that without commits. Clusters poll in
// turn, 500 a second, over keep-alive connections, with gzip. The time of a poll starts when
// the poll is due, and no poll waits for another. So the first poll of an answer, which
// compresses it, is included. Windows with and without commits alternate, and the ratio is
// that of the medians of their percentiles.
func BenchmarkPollsWhileReleasesSwap(b *testing.B) {
	s := newServing(b, newOrigin(b, synthetic.Default()), "sqlite:"+filepath.Join(b.TempDir(), "tributary.db"))
	defer s.kill()
	s.swapWindow(nil) // warm up
	var still, one, base []float64
	for range 5 {
		still = append(still, s.swapWindow(nil))
		one = append(one, s.swapWindow(s.o.commitCluster))
		base = append(base, s.swapWindow(s.o.commitBase))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle(still), "still-p99-µs")
	b.ReportMetric(middle(one), "one-p99-µs")
	b.ReportMetric(middle(base), "base-p99-µs")
	b.ReportMetric(middle(one)/middle(still), "one-ratio")
	b.ReportMetric(middle(base)/middle(still), "base-ratio")
}

const (
	swapWindow   = 4 * time.Second
	pollsASecond = 500
)

// swapWindow polls for a while, with a commit each second if commit is not nil, and returns
// the 99th percentile of the time of a poll, in microseconds.
func (s serving) swapWindow(commit func() string) float64 {
	s.t.Helper()
	var commits sync.WaitGroup
	var last string
	start := time.Now()
	if commit != nil {
		commits.Go(func() {
			for due := start; time.Since(start) < swapWindow; due = due.Add(time.Second) {
				time.Sleep(time.Until(due))
				last = commit()
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
	if commit != nil {
		s.await(last)
		time.Sleep(time.Second) // let the server finish
	}
	return percentile(took, 99)
}

// poll polls the largest set of a cluster, compressed, over a keep-alive connection.
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
