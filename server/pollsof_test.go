package server_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// pollsOf is the variable that says which server a process polls that is started for it.
const pollsOf = "TRIBUTARY_BENCH_POLLS_OF"

const (
	pollsWindow = 3 * time.Second
	pollsInIt   = 1500
)

// TestPollsOfAnotherProcess is that process: in the one that renders, polls would wait for
// the renderer at the client's end as well.
func TestPollsOfAnotherProcess(t *testing.T) {
	address := os.Getenv(pollsOf)
	if address == "" {
		return // nobody but BenchmarkPollsWhileReleasesSwap has it do anything
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}}
	poll := func(n int) {
		r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/api/v1/flux/clusters/c%04d/apps", address, n*7%swapClusters), nil)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+viewerToken)
		r.Header.Set("Accept-Encoding", "gzip")
		answer, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("a poll = %d", answer.StatusCode)
		}
	}
	for n := range 50 { // it gets warm
		poll(n)
	}
	took, start := make([]float64, pollsInIt), time.Now()
	var polls sync.WaitGroup
	for n := range took {
		due := start.Add(pollsWindow * time.Duration(n) / pollsInIt)
		time.Sleep(time.Until(due))
		polls.Go(func() {
			poll(n)
			took[n] = float64(time.Since(due).Microseconds())
		})
	}
	polls.Wait()
	slices.Sort(took)
	fmt.Printf("p99 %g\n", took[len(took)*99/100])
}
