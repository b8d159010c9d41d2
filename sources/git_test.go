package sources_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// overEach runs a test over each transport that needs only git.
func overEach(t *testing.T, test func(t *testing.T, repo *gitRepo, url string)) {
	t.Run("http", func(t *testing.T) {
		repo := newGitRepo(t)
		test(t, repo, repo.serve().url())
	})
	t.Run("file", func(t *testing.T) {
		repo := newGitRepo(t)
		test(t, repo, repo.fileURL())
	})
}

func TestGitFollowsBranch(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		first := repo.commit(map[string]string{"fleet.yaml": "one", "base/a.yaml": "a", "base/b.yaml": "b"})
		s := open(t, url+"?ref=main")
		if want := url + "?ref=main"; s.String() != want {
			t.Errorf("String() = %q, want %q", s, want)
		}

		before := fetch(t, s, "")
		if want := "main@sha1:" + first; before.Revision != want {
			t.Errorf("Revision = %q, want %q", before.Revision, want)
		}
		wantContents(t, before.Tree, map[string]string{"fleet.yaml": "one", "base/a.yaml": "a", "base/b.yaml": "b"})
		fetchNothing(t, s, before.Revision)

		second := repo.commit(map[string]string{"fleet.yaml": "two", "base/b.yaml": "-", "new/c.yaml": "c"})
		after := fetch(t, s, before.Revision)
		if want := "main@sha1:" + second; after.Revision != want {
			t.Errorf("Revision = %q, want %q", after.Revision, want)
		}
		wantContents(t, after.Tree, map[string]string{"fleet.yaml": "two", "base/a.yaml": "a", "new/c.yaml": "c"})
		wantShared(t, before.Tree, after.Tree, "base/a.yaml", true)

		// The caller may know another revision than the one that was fetched
		// last.
		again := fetch(t, s, before.Revision)
		wantShared(t, after.Tree, again.Tree, "fleet.yaml", true)
		wantContents(t, before.Tree, map[string]string{"fleet.yaml": "one", "base/a.yaml": "a", "base/b.yaml": "b"})
	})
}

func TestGitAsksOnlyForRefsWhenNothingMoved(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url())
	revision := fetch(t, s, "").Revision
	if got, _ := server.takeRequests(); !slices.Equal(got, []string{"GET refs", "POST git-upload-pack"}) {
		t.Errorf("first fetch made requests %q, want one for the refs and one for the pack", got)
	}
	for range 3 {
		fetchNothing(t, s, revision)
		if got, _ := server.takeRequests(); !slices.Equal(got, []string{"GET refs"}) {
			t.Errorf("a look made requests %q, want one for the refs alone", got)
		}
	}
}

// TestGitKeepsItsConnection checks that a fetch costs one round trip. A new
// connection would cost three more.
func TestGitKeepsItsConnection(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	commit := repo.commit(map[string]string{"fleet.yaml": "one"})
	refs := []string{"# pack-refs with: peeled fully-peeled\n"} // More than fits into a buffer or two.
	for i := range 2000 {
		refs = append(refs, fmt.Sprintf("%s refs/tags/v1.0.%d\n", commit, i))
	}
	must(t, os.WriteFile(filepath.Join(repo.bare(), "packed-refs"), []byte(strings.Join(refs, "")), 0o644))
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(repo.serve().Config.Handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	s := open(t, server.URL+"/repo.git")
	revision := fetch(t, s, "").Revision
	for range 3 {
		fetchNothing(t, s, revision)
		repo.commit(map[string]string{"fleet.yaml": noise(100)})
		revision = fetch(t, s, revision).Revision
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections were opened, want one", n)
	}
}

func TestGitFetchesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprintf("base/%d.yaml", i)] = noise(4 << 10)
	}
	repo.importFiles(files)
	server := repo.serve()
	s := open(t, server.url())
	revision := fetch(t, s, "").Revision
	if _, bytes := server.takeRequests(); bytes < 200<<10 {
		t.Fatalf("the first fetch took %d bytes, too few for this test to tell anything", bytes)
	}
	for range 3 {
		files["base/0.yaml"] = noise(4 << 10)
		repo.importFiles(files)
		snapshot := fetch(t, s, revision)
		revision = snapshot.Revision
		wantContents(t, snapshot.Tree, files)
		if _, bytes := server.takeRequests(); bytes > 20<<10 {
			t.Errorf("a change of one file took %d bytes, want little more than the file", bytes)
		}
	}
}

// noise returns random text, which compresses little.
func noise(n int) string {
	random := make([]byte, n*3/4+3)
	for i := 0; i < len(random); i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], rand.Uint64())
		copy(random[i:], word[:])
	}
	return base64.StdEncoding.EncodeToString(random)[:n]
}

func TestGitTreeEqualsCheckout(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		s := open(t, url)
		revision := ""
		text := noise(6000)
		for round := range 4 {
			// Files that differ a little are sent as deltas of one another.
			for i := range 40 {
				at := rand.IntN(len(text) - 10)
				text = text[:at] + noise(10) + text[at+10:]
				name := filepath.Join(repo.work, "dir", fmt.Sprint(i%7), fmt.Sprintf("f%d ü.yaml", i+round))
				must(t, os.MkdirAll(filepath.Dir(name), 0o755))
				must(t, os.WriteFile(name, []byte(text), 0o644))
			}
			must(t, os.WriteFile(filepath.Join(repo.work, "run.sh"), []byte(text[:round]), 0o755))
			_ = os.Remove(filepath.Join(repo.work, "link"))
			must(t, os.Symlink(fmt.Sprintf("dir/%d", round%7), filepath.Join(repo.work, "link")))
			repo.commit(nil)
			if round%2 == 1 {
				repo.inBare("gc", "--quiet", "--aggressive", "--prune=now")
			}
			snapshot := fetch(t, s, revision)
			revision = snapshot.Revision
			checkout := fetch(t, open(t, repo.work), "")
			wantContents(t, snapshot.Tree, contents(t, checkout.Tree))
			if info, err := fs.Stat(snapshot.Tree, "run.sh"); err != nil || info.Mode()&0o111 == 0 {
				t.Errorf("run.sh has mode %v (%v), want it executable", info.Mode(), err)
			}
		}
	})
}

func TestGitFollowsForcePushToUnrelatedRoot(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		repo.commit(map[string]string{"fleet.yaml": "one", "old.yaml": "old"})
		s := open(t, url)
		before := fetch(t, s, "")

		other := newGitRepo(t)
		other.commit(map[string]string{"fleet.yaml": "two"})
		other.inBare("push", "--quiet", "--force", repo.bare(), "main")
		repo.inBare("reflog", "expire", "--expire=now", "--all")
		repo.inBare("gc", "--quiet", "--prune=now")

		after := fetch(t, s, before.Revision)
		wantContents(t, after.Tree, map[string]string{"fleet.yaml": "two"})
		wantContents(t, before.Tree, map[string]string{"fleet.yaml": "one", "old.yaml": "old"})
	})
}

func TestGitFollowsDefaultBranch(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		main := repo.commit(map[string]string{"fleet.yaml": "main"})
		s := open(t, url)
		if got, want := fetch(t, s, "").Revision, "main@sha1:"+main; got != want {
			t.Errorf("Revision = %q, want %q", got, want)
		}
		repo.inBare("branch", "release/2")
		repo.inBare("symbolic-ref", "HEAD", "refs/heads/release/2")
		next := repo.commit(map[string]string{"fleet.yaml": "next"})
		snapshot := fetch(t, s, "main@sha1:"+main)
		if want := "release/2@sha1:" + next; snapshot.Revision != want {
			t.Errorf("Revision = %q, want %q", snapshot.Revision, want)
		}
		// The same commit under another name is another revision, and needs no
		// pack.
		repo.inBare("symbolic-ref", "HEAD", "refs/heads/main")
		repo.inBare("update-ref", "refs/heads/main", next)
		if got, want := fetch(t, s, snapshot.Revision).Revision, "main@sha1:"+next; got != want {
			t.Errorf("Revision = %q, want %q", got, want)
		}
		repo.inBare("update-ref", "--no-deref", "HEAD", main)
		if got, want := fetch(t, s, "").Revision, "HEAD@sha1:"+main; got != want {
			t.Errorf("Revision of a detached HEAD = %q, want %q", got, want)
		}
	})
}

func TestGitRepositoryWithoutCommits(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		s := open(t, url)
		if err := fetchError(t, s, "is empty", "push"); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("error = %v, want a fleet.ErrNotFound", err)
		}
		repo.commit(map[string]string{"fleet.yaml": "one"})
		wantContents(t, fetch(t, s, "").Tree, map[string]string{"fleet.yaml": "one"})
	})
}

func TestGitRepositoryOfSHA256(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t, "--object-format=sha256")
	repo.commit(map[string]string{"fleet.yaml": "one"})
	fetchError(t, open(t, repo.fileURL()), "SHA-256, which is not supported")
	fetchError(t, open(t, repo.serve().url()), "SHA-256, which is not supported")
}

func TestGitSnapshotOutlivesSource(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		repo.commit(map[string]string{"fleet.yaml": "one"})
		s := open(t, url)
		snapshot := fetch(t, s, "")
		must(t, s.Close())
		must(t, os.RemoveAll(repo.root))
		if got := read(t, snapshot.Tree, "fleet.yaml"); got != "one" {
			t.Errorf("fleet.yaml = %q, want one", got)
		}
	})
}

// TestGitLeavesNothingBehind checks for files and descriptors that would pile
// up over thousands of fetches.
func TestGitLeavesNothingBehind(t *testing.T) {
	repo := newGitRepo(t)
	server := repo.serve()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s := open(t, server.url())
	revision, opened := "", 0
	for round := range 10 {
		repo.commit(map[string]string{"fleet.yaml": fmt.Sprint(round)})
		revision = fetch(t, s, revision).Revision
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Fatalf("after fetch %d the temporary directory holds %v (%v), want nothing", round, left, err)
		}
		files, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		if round == 3 {
			opened = len(files)
		}
		if round > 3 && len(files) > opened+4 {
			t.Fatalf("after fetch %d, %d files are open, and %d were after the fourth", round, len(files), opened)
		}
	}
}

func TestGitNeedsTemporaryDirectory(t *testing.T) {
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	fetchError(t, open(t, repo.fileURL()), "TMPDIR")
}

func TestGitFileNeedsGit(t *testing.T) {
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	t.Setenv("PATH", t.TempDir())
	fetchError(t, open(t, repo.fileURL()), "git is not installed", "git+file")
}

func TestGitFetchesOneAtATime(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := read(t, fetch(t, s, "").Tree, "fleet.yaml"); got != "one" {
				t.Errorf("fleet.yaml = %q, want one", got)
			}
		})
	}
	all.Wait()
	requests, _ := server.takeRequests()
	if packs := strings.Count(strings.Join(requests, " "), "POST"); packs != 1 {
		t.Errorf("%d packs were fetched, want 1", packs)
	}
}

func TestGitWatchReturnsImmediately(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	if err := open(t, repo.fileURL()).Watch(t.Context(), func() { t.Error("moved was called") }); err != nil {
		t.Errorf("Watch = %v, want nil", err)
	}
}

func TestGitEndsWithContext(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"GET", "POST"} {
		t.Run(stage, func(t *testing.T) {
			repo := newGitRepo(t)
			repo.commit(map[string]string{"fleet.yaml": "one"})
			server := repo.serve()
			s := open(t, server.url())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			release := make(chan struct{})
			server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
				if r.Method != stage {
					return w
				}
				cancel()
				<-release
				return nil
			})
			snapshot, err := s.Fetch(ctx, "")
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Fetch = %v, %v, want context.Canceled", snapshot, err)
			}
			close(release)
			server.intercept(nil)
			fetch(t, s, "")
		})
	}
}

func TestGitEndsWithContextInTheMiddleOfAPack(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": noise(1 << 20)})
	server := repo.serve()
	s := open(t, server.url())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Method != "POST" {
			return w
		}
		return &stallingWriter{ResponseWriter: w, after: 100 << 10, stall: func() { cancel(); <-release }}
	})
	if _, err := s.Fetch(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch = %v, want context.Canceled", err)
	}
	close(release)
	server.intercept(nil)
	fetch(t, s, "")
}

// stallingWriter calls stall once, after a number of bytes has been sent.
type stallingWriter struct {
	http.ResponseWriter
	after int
	stall func()
}

func (w *stallingWriter) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 && w.stall != nil {
		w.ResponseWriter.(*countingWriter).ResponseWriter.(http.Flusher).Flush()
		w.stall()
		w.stall = nil
	}
	return w.ResponseWriter.Write(p)
}

func TestGitWaitingFetchEndsWithContext(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url())
	busy, release := make(chan struct{}), make(chan struct{})
	server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Method == "GET" {
			close(busy)
			<-release
		}
		return w
	})
	done := make(chan error)
	go func() {
		_, err := s.Fetch(deadline(t), "")
		done <- err
	}()
	<-busy
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Fetch(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch = %v, want context.Canceled", err)
	}
	close(release)
	must(t, <-done)
}
