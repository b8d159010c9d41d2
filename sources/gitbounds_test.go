package sources_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// TestGitBoundsWhatComesBeforeAPack uses servers that never send the pack, but
// endless lines that go-git keeps in memory.
func TestGitBoundsWhatComesBeforeAPack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ first, again string }{
		"shallow": {"", "0034shallow 0123456789012345678901234567890123456789"},
		"ACK":     {"0000", "0038ACK 0123456789012345678901234567890123456789 common\n"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := newGitRepo(t)
			repo.commit(map[string]string{"fleet.yaml": "one"})
			server := repo.serve()
			var sent atomic.Int64
			server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
				if r.Method == "GET" {
					return w
				}
				w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
				_, _ = io.WriteString(w, c.first)
				many := strings.Repeat(c.again, 1000)
				for {
					n, err := io.WriteString(w, many)
					if sent.Add(int64(n)); err != nil || sent.Load() > 1<<30 {
						return nil
					}
				}
			})
			fetchError(t, open(t, server.url()), "sends too much before the requested objects")
			server.Close() // Close waits for pending answers.
			if n := sent.Load(); n > 32<<20 {
				t.Errorf("%d bytes were taken, want at most what is on the way beside 1 MiB", n)
			}
		})
	}
}

// TestGitReadsCommitsWithLongHeaders uses a commit for which a simple parser
// would copy every line once for each line that follows.
func TestGitReadsCommitsWithLongHeaders(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		commit := repo.commit(map[string]string{"fleet.yaml": "one"})
		raw := []byte(repo.inBare("cat-file", "commit", commit))
		at := bytes.Index(raw, []byte("\n\n"))
		long := slices.Concat(raw[:at], []byte("\nnote x\n"), bytes.Repeat([]byte(" \n"), 2_000_000), raw[at+1:])
		repo.writeMain(string(long))
		wantContents(t, fetch(t, open(t, url), "").Tree, map[string]string{"fleet.yaml": "one"})
	})
}

// writeMain points main to a commit with that text, even if git would not write
// it.
func (r *gitRepo) writeMain(commit string) {
	r.t.Helper()
	hash := r.gitInput(commit, "--git-dir", r.bare(), "hash-object", "-t", "commit", "-w", "--literally", "--stdin")
	r.inBare("update-ref", "refs/heads/main", hash)
}

func TestGitRefusesNamesThatCannotBePrinted(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		repo.commit(map[string]string{"fleet.yaml": "one"})
		s := open(t, url)
		known := fetch(t, s, "").Revision
		for _, name := range []string{"caf\xe9", "a\u009b1m", "\u202emain"} {
			repo.inBare("branch", name, "main")
			repo.inBare("symbolic-ref", "HEAD", "refs/heads/"+name)
			if _, err := s.Fetch(deadline(t), known); !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), "cannot be printed") {
				t.Errorf("Fetch with the default branch %q = %v, want a fleet.ErrInvalid", name, err)
			}
		}
		repo.inBare("symbolic-ref", "HEAD", "refs/heads/main")
		fetchNothing(t, s, known)
	})
}

// TestGitDoesNotRetryWhenTheHostAsksToWait uses a host that asks to slow down when
// it is asked for new objects.
func TestGitDoesNotRetryWhenTheHostAsksToWait(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url())
	fetch(t, s, "")
	repo.commit(map[string]string{"fleet.yaml": "two"})
	server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Method == "GET" {
			return w
		}
		w.Header().Set("Retry-After", "10")
		http.Error(w, "later", http.StatusTooManyRequests)
		return nil
	})
	server.takeRequests()
	err := fetchError(t, s, "429 Too Many Requests")
	var told *fleet.RetryError
	if !errors.As(err, &told) || told.After != 10*time.Second {
		t.Errorf("error = %#v, want a fleet.RetryError of 10 s", err)
	}
	if got, _ := server.takeRequests(); !slices.Equal(got, []string{"GET refs", "POST git-upload-pack"}) {
		t.Errorf("requests = %q, want none after it was asked to come later", got)
	}
}

// TestGitSearchesOnceForAMissingCommit uses a server that gives out a commit
// only with its whole history.
func TestGitSearchesOnceForAMissingCommit(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url()+"?ref="+strings.Repeat("deadbeef", 5))
	first := fetchError(t, s, "no branch and no tag leads to it")
	server.takeRequests()
	if second := fetchError(t, s); second.Error() != first.Error() {
		t.Errorf("error = %q, and %q before", second, first)
	}
	if got, _ := server.takeRequests(); !slices.Equal(got, []string{"GET refs"}) {
		t.Errorf("requests = %q, want one for the refs alone", got)
	}
	repo.commit(map[string]string{"fleet.yaml": "two"})
	server.takeRequests()
	fetchError(t, s)
	if got, _ := server.takeRequests(); !slices.Contains(got, "POST git-upload-pack") {
		t.Errorf("requests = %q, want it to be looked for again where refs have moved", got)
	}
}

// TestGitReadsLongDeltaChains reads an old commit from a server that gives it out
// only with the history. The versions of the file are deltas of one another, and
// take more memory together than the tree may.
func TestGitReadsLongDeltaChains(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	text := noise(40_000)
	first := repo.commit(map[string]string{"fleet.yaml": text})
	for i := range 30 {
		repo.commit(map[string]string{"fleet.yaml": text[i:] + noise(i)})
	}
	repo.inBare("gc", "--quiet", "--aggressive", "--prune=now")
	s := openWith(t, repo.serve().url()+"?ref="+first, sources.Limits{TreeSize: 400_000})
	wantContents(t, fetch(t, s, "").Tree, map[string]string{"fleet.yaml": text})
}
