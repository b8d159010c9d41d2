package sources_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/sources"
)

// largeRepository returns a repository of 10,000 manifests of 4 KB, packed as
// on hosts, and its server.
func largeRepository(b *testing.B) (*gitRepo, *gitServer) {
	b.Helper()
	repo := newGitRepo(b)
	repo.fastImport(10_000, 4<<10, "fleet.yaml")
	repo.inBare("repack", "-adq")
	return repo, repo.serve()
}

// clone clones a repository with git and returns how long that took.
func (r *gitRepo) clone(url string) (dir string, took time.Duration) {
	r.t.Helper()
	dir = filepath.Join(r.t.TempDir(), "clone.git")
	start := time.Now()
	r.git("clone", "--quiet", "--depth", "1", "--bare", url, dir)
	return dir, time.Since(start)
}

// BenchmarkGitFetch measures a first fetch of 10,000 files. x/git is its time
// divided by that of git clone --depth 1 --bare, which must not exceed 1.5.
func BenchmarkGitFetch(b *testing.B) {
	repo, server := largeRepository(b)
	var ours, theirs time.Duration
	for b.Loop() {
		dir, took := repo.clone(server.url())
		theirs += took
		must(b, os.RemoveAll(dir))
		start := time.Now()
		s, err := sources.Open(server.url(), sources.Options{})
		must(b, err)
		_, err = s.Fetch(b.Context(), "")
		must(b, err)
		must(b, s.Close())
		ours += time.Since(start)
	}
	report(b, ours, theirs)
}

// BenchmarkGitFetchChange measures the fetch of a commit that changes one file
// in 10,000. x/git is its time divided by that of git fetch --depth 1, which
// must not exceed 2.
func BenchmarkGitFetchChange(b *testing.B) {
	repo, server := largeRepository(b)
	dir, _ := repo.clone(server.url())
	s := openAs(b, server.url(), sources.Options{})
	snapshot, err := s.Fetch(b.Context(), "")
	must(b, err)
	random := rand.New(rand.NewPCG(3, 4))
	var ours, theirs time.Duration
	for b.Loop() {
		repo.importFiles(map[string]string{fmt.Sprintf("apps/%03d/%05d.yaml", 7, 700): yamlNoise(random, 4<<10)})
		start := time.Now()
		repo.git("--git-dir", dir, "fetch", "--quiet", "--depth", "1", "origin", "main")
		theirs += time.Since(start)
		start = time.Now()
		snapshot, err = s.Fetch(b.Context(), snapshot.Revision)
		must(b, err)
		ours += time.Since(start)
	}
	report(b, ours, theirs)
}

func report(b *testing.B, ours, theirs time.Duration) {
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ms/fetch")
	b.ReportMetric(float64(ours)/float64(theirs), "x/git")
	b.ReportMetric(0, "ns/op") // It includes git's time.
}

// BenchmarkGitLook measures a fetch when nothing has changed, which must take
// only one round trip.
func BenchmarkGitLook(b *testing.B) {
	repo := newGitRepo(b)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := openAs(b, server.url(), sources.Options{})
	snapshot, err := s.Fetch(b.Context(), "")
	must(b, err)
	server.takeRequests()
	n := 0
	for b.Loop() {
		n++
		again, err := s.Fetch(b.Context(), snapshot.Revision)
		if must(b, err); again != nil {
			b.Fatalf("Fetch = %s, want nothing", again.Revision)
		}
	}
	requests, _ := server.takeRequests()
	b.ReportMetric(float64(len(requests))/float64(n), "requests/look")
}

// BenchmarkGitFetchPeakMemory fetches in a process of its own. peak/tree is its
// peak memory divided by the size of the tree, which must not exceed 4.
func BenchmarkGitFetchPeakMemory(b *testing.B) {
	repo, server := largeRepository(b)
	size := 0
	for _, line := range strings.Fields(repo.inBare("ls-tree", "-r", "--format=%(objectsize)", "main")) {
		var n int
		_, err := fmt.Sscan(line, &n)
		must(b, err)
		size += n
	}
	var peak int64
	for b.Loop() {
		r := fetchInChild(b, childFetch{Source: server.url()})
		if r.Err != "" {
			b.Fatal(r.Err)
		}
		peak = r.Peak
	}
	b.ReportMetric(float64(peak)/float64(size), "peak/tree")
	b.ReportMetric(float64(size)/(1<<20), "MiB-tree")
}
