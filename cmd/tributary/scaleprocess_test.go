package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// frugal runs the command line in a process that returns unused memory to the system on
// SIGUSR1, and then creates a file. Without it, the measured memory would include garbage.
func frugal() {
	requests := make(chan os.Signal, 1)
	signal.Notify(requests, syscall.SIGUSR1)
	go func() {
		for range requests {
			debug.FreeOSMemory()
			debug.FreeOSMemory() // again, for memory that finalizers released
			_ = os.WriteFile(os.Getenv(freedFile), nil, 0o600)
		}
	}()
	main()
}

const freedFile = "BENCHMARK_FREED_FILE"

const hookSecret = "a secret of the benchmark's own"

// serving is a server process for an origin.
type serving struct {
	*process
	o *origin
}

func newServing(b testing.TB, o *origin, store string) serving {
	b.Helper()
	secret := filepath.Join(b.TempDir(), "secret")
	b.Setenv(freedFile, filepath.Join(b.TempDir(), "freed"))
	if err := os.WriteFile(secret, []byte(hookSecret), 0o600); err != nil {
		b.Fatal(err)
	}
	return serving{newProcessAs(b, "frugal", o.url(), "--store", store, "--interval", "1h", "--log-level", "error", "--poll-rate", "0", "--request-rate", "0",
		"--webhook-secret-file", secret), o}
}

// pollAll polls every set of every cluster as the operator does, compressed, and calls answer
// with each answer.
func (s serving) pollAll(answer func(cluster, set string, text []byte)) {
	s.t.Helper()
	for i := range s.o.Clusters {
		for _, set := range []string{"platform-components", "namespaces", "rolebindings"} {
			path := "/api/v1/flux/clusters/" + s.o.ClusterName(i) + "/" + set
			status, header, text := s.try(http.MethodGet, path, "", "Accept-Encoding", "gzip", "User-Agent", "flux-operator/v0.58.1")
			if status != http.StatusOK || header.Get("Content-Encoding") != "gzip" {
				s.t.Fatalf("poll of %s = %d, %v", path, status, header)
			}
			if answer != nil {
				answer(s.o.ClusterName(i), set, unzipped(s.t, text))
			}
		}
	}
}

func unzipped(b testing.TB, text []byte) []byte {
	b.Helper()
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		b.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		b.Fatal(err)
	}
	return plain
}

// commitBase commits to the base and waits until the commit is served.
func (s serving) commitBase() {
	s.t.Helper()
	revision := s.o.commitBase()
	s.look()
	s.await(revision)
}

// look makes the server fetch the source, with a webhook.
func (s serving) look() {
	s.t.Helper()
	if status, _, text := s.try(http.MethodPost, "/api/v1/webhooks/generic", "{}", "Authorization", "Bearer "+hookSecret); status != http.StatusAccepted {
		s.t.Fatalf("webhook = %d %s", status, text)
	}
}

// await returns when a revision is served.
func (s serving) await(revision string) {
	s.t.Helper()
	path := "/api/v1/flux/clusters/" + s.o.ClusterName(0) + "/namespaces"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, header, _ := s.try(http.MethodGet, path, ""); header.Get("Tributary-Revision") == revision {
			return
		}
	}
	s.t.Fatalf("%s is never served", revision)
}

// resident returns the resident memory of the process after it has returned unused memory,
// and its maximum, in bytes.
func (s serving) resident() (now, peak float64) {
	s.t.Helper()
	freed := os.Getenv(freedFile)
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if err := os.Remove(freed); err == nil {
			return s.memory("VmRSS"), s.memory("VmHWM")
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the server does not return its unused memory")
		}
	}
}

func (s serving) memory(field string) float64 {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	found := regexp.MustCompile(field + `:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		s.t.Fatalf("no %s in %s", field, text)
	}
	kilobytes, _ := strconv.ParseFloat(string(found[1]), 64) // digits
	return kilobytes * 1024
}
