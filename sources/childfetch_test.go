package sources_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/sources"
)

// A child is another process of this test binary. It is used for what applies
// to the whole process: proxies, which are read from the environment once, and
// peak memory.
const childVariable = "TRIBUTARY_TEST_CHILD"

// childFetch says what a child fetches.
type childFetch struct {
	Source  string
	Options sources.Options
}

// childReport is a child's result.
type childReport struct {
	Revision, Err string
	// Peak is the peak memory of the process in bytes.
	Peak int64
}

// runChild does the work of a child, and reports whether this process is one.
func runChild() bool {
	work := os.Getenv(childVariable)
	if work == "" {
		return false
	}
	var c childFetch
	if err := json.Unmarshal([]byte(work), &c); err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(c.run()); err != nil {
		panic(err)
	}
	return true
}

func (c childFetch) run() (r childReport) {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	s, err := sources.Open(c.Source, c.Options)
	if err != nil {
		return childReport{Err: err.Error()}
	}
	defer s.Close()
	snapshot, err := s.Fetch(ctx, "")
	if err != nil {
		return childReport{Err: err.Error()}
	}
	return childReport{Revision: snapshot.Revision, Peak: peakMemory()}
}

// peakMemory returns the peak memory that Linux has recorded.
func peakMemory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	return 0
}

func fetchInChild(t testing.TB, c childFetch, env ...string) (r childReport) {
	t.Helper()
	work, err := json.Marshal(c)
	must(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	// The race detector waits a second at the end of a process, unless told otherwise.
	cmd.Env = append(append(os.Environ(), childVariable+"="+string(work), "GORACE=atexit_sleep_ms=0"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, stderr.String())
	}
	must(t, json.Unmarshal(out, &r))
	return r
}
