package sources_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// at returns the snapshot at another ref, and expects that revision.
func at(t *testing.T, s fleet.Source, ref, revision string) *fleet.Snapshot {
	t.Helper()
	snapshot, err := s.(fleet.RefFetcher).At(deadline(t), ref)
	if err != nil {
		t.Fatalf("At(%q): %v", ref, err)
	}
	if snapshot.Revision != revision {
		t.Errorf("At(%q) is at %q, want %q", ref, snapshot.Revision, revision)
	}
	return snapshot
}

// notAt expects At to fail with that error and all of want in its text.
func notAt(t *testing.T, s fleet.Source, ref string, is error, want ...string) {
	t.Helper()
	snapshot, err := s.(fleet.RefFetcher).At(deadline(t), ref)
	if !errors.Is(err, is) {
		t.Fatalf("At(%q) = %v, %v, want %q", ref, snapshot, err, is)
	}
	wantText(t, err, want...)
}

func refusedAt(t *testing.T, s fleet.Source, ref, revision string, want ...string) {
	t.Helper()
	snapshot, err := s.(fleet.RefFetcher).At(deadline(t), ref)
	if got, refused := refusedRevision(err); !refused || got != revision {
		t.Fatalf("At(%q) = %v, %v, want a fleet.RefusedError of %s", ref, snapshot, err, revision)
	}
	wantText(t, err, want...)
}

// hostileRefs are options, refspecs, expressions, names of files, and
// characters that break a line or a terminal.
var hostileRefs = []string{
	"", " ", "-", "--upload-pack=touch x", "-oProxyCommand=x", "+refs/heads/*:refs/heads/*", "main:main", ":main", "main:fleet.yaml",
	"..", "main..feature", "../main", "refs/../main", "refs/heads/../../config", "/main", "main/", "a//b", "main.lock", ".hidden",
	"@{", "main@{1}", "@{upstream}", "main^", "main~1", "main^{tree}", "HEAD^0", "refs/heads/*", "refs/heads", "refs/", "a b", "a\tb",
	"main\n", "main\x00", "a\\b", "\x1b[2J", "m\u202eain", "\xff", "semver:", "semver:x.y.z.", "main@sha1:0", "sha256:1",
	"main@sha256:" + strings.Repeat("a", 64), strings.Repeat("a", 257), strings.Repeat("a/", 1<<16), "semver:>=1" + strings.Repeat(" ", 300),
}

// onBranch runs work with its commits on a branch that starts at main.
func (r *gitRepo) onBranch(name string, work func()) {
	r.t.Helper()
	r.inBare("update-ref", "refs/heads/"+name, "main")
	r.inBare("symbolic-ref", "HEAD", "refs/heads/"+name)
	defer r.inBare("symbolic-ref", "HEAD", "refs/heads/main")
	work()
}

// TestGitReadsOtherRefs uses servers that give out any commit and servers that
// give out only what a ref points to, and sources that have read something and
// sources that have not.
func TestGitReadsOtherRefs(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"core.bare", "uploadpack.allowReachableSHA1InWant"} {
		t.Run(option, func(t *testing.T) {
			overEach(t, func(t *testing.T, repo *gitRepo, url string) {
				repo.inBare("config", option, "true")
				old := repo.commit(map[string]string{"fleet.yaml": "old", "a.yaml": "a"})
				repo.inBare("tag", "--annotate", "--message", "m", "v1.0.0")
				present := repo.commit(map[string]string{"fleet.yaml": "present"})
				var first, second string
				repo.onBranch("feature", func() {
					first = repo.commit(map[string]string{"fleet.yaml": "first"})
					second = repo.commit(map[string]string{"fleet.yaml": "second", "a.yaml": "-"})
				})
				repo.inBare("update-ref", "refs/pull/7/head", first)
				repo.inBare("tag", "light", second)
				refs := repo.inBare("for-each-ref")
				follower := open(t, url+"?ref=main")
				known := fetch(t, follower, "").Revision
				for _, s := range []sources.Source{follower, open(t, url+"?ref=main"), open(t, url+"?ref=gone")} {
					for ref, want := range map[string]struct{ revision, content string }{
						"main":                 {"main@sha1:" + present, "present"},
						"feature":              {"feature@sha1:" + second, "second"},
						"refs/heads/feature":   {"feature@sha1:" + second, "second"},
						"refs/pull/7/head":     {"refs/pull/7/head@sha1:" + first, "first"},
						"v1.0.0":               {"v1.0.0@sha1:" + old, "old"},
						"light":                {"light@sha1:" + second, "second"},
						"semver:1.x":           {"v1.0.0@sha1:" + old, "old"},
						old:                    {"sha1:" + old, "old"},
						present:                {"sha1:" + present, "present"},
						strings.ToUpper(first): {"sha1:" + first, "first"},
					} {
						tree := map[string]string{"fleet.yaml": want.content, "a.yaml": "a"}
						if want.content == "second" {
							delete(tree, "a.yaml")
						}
						wantContents(t, at(t, s, ref, want.revision).Tree, tree)
					}
				}
				fetchNothing(t, follower, known)
				if after := repo.inBare("for-each-ref"); after != refs {
					t.Errorf("the repository has the refs %q, want them as they were: %q", after, refs)
				}
			})
		})
	}
}

func TestGitRefusesInvalidOtherRefs(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	commit := repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url()+"?ref=main")
	for _, ref := range hostileRefs {
		notAt(t, s, ref, fleet.ErrInvalid, "ref", "invalid")
		if _, err := s.(fleet.RefFetcher).At(deadline(t), ref); len(err.Error()) > 1024 || strings.ContainsAny(err.Error(), "\n\x1b\x00\u202e") {
			t.Errorf("At(%q) = %q, want one short line", ref, err)
		}
	}
	if got, _ := server.takeRequests(); len(got) > 0 {
		t.Errorf("requests = %q, want none for what is no ref", got)
	}
	for _, ref := range []string{"gone", "refs/heads/gone", "refs/pull/1/head", "HEAD", "master", "semver:>=1", strings.Repeat("ab", 20)} {
		notAt(t, s, ref, fleet.ErrNotFound, ": not found")
	}
	notAt(t, s, commit[:12], fleet.ErrNotFound, "write all 40 digits")
	if _, has := open(t, t.TempDir()).(fleet.RefFetcher); has {
		t.Error("a directory has other refs, want none")
	}
}

// TestGitReadsOtherRefsWithItsOptions checks that the source's settings apply to
// other refs.
func TestGitReadsOtherRefsWithItsOptions(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	alice := signingKey(t, "alice")
	repo.signWith(alice)
	repo.commit(map[string]string{"fleet/fleet.yaml": "one", "other.yaml": "o"})
	branch := func(name, key string, files map[string]string) (revision string) {
		repo.signWith(key)
		repo.onBranch(name, func() { revision = name + "@sha1:" + repo.commit(files) })
		return revision
	}
	signed := branch("signed", alice, map[string]string{"fleet/fleet.yaml": "signed"})
	unsigned := branch("unsigned", "", map[string]string{"fleet/fleet.yaml": "unsigned"})
	large := branch("large", alice, map[string]string{"fleet/large.yaml": noise(2000)})
	without := branch("without", alice, map[string]string{"fleet/fleet.yaml": "-", "fleet/large.yaml": "-"})

	o := trustingKeys(sources.VerifyHead, alice)
	o.Limits.TreeSize = 1000
	s := openAs(t, repo.serve().url()+"?ref=main&path=fleet", o)
	known := fetch(t, s, "").Revision
	for range 2 {
		wantContents(t, at(t, s, "signed", signed).Tree, map[string]string{"fleet.yaml": "signed"})
		refusedAt(t, s, "unsigned", unsigned, "is not signed")
		refusedAt(t, s, "large", large, "large.yaml: with this file, the tree is larger than 1000 bytes")
		refusedAt(t, s, "without", without, "path fleet is not in the repository")
		fetchNothing(t, s, known)
	}
	repo.inBare("tag", "plain", "signed")
	tagged := openAs(t, repo.fileURL()+"?path=fleet", trustingKeys(sources.VerifyTag, alice))
	refusedAt(t, tagged, "plain", "plain@"+strings.TrimPrefix(signed, "signed@"), "is not annotated")
	refusedAt(t, tagged, "signed", signed, "was not found by a tag")

	// A refusal applies only to its own ref.
	repo.inBare("update-ref", "refs/heads/main", "unsigned")
	wantRefusedAs(t, s, known, strings.Replace(unsigned, "unsigned@", "main@", 1), "is not signed")
	at(t, s, "signed", signed)
}

func TestGitPinnedToATagReadsOtherRefs(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		first := repo.commit(map[string]string{"fleet.yaml": "one"})
		repo.inBare("tag", "v1")
		second := repo.commit(map[string]string{"fleet.yaml": "two"})
		s := open(t, url+"?ref=v1")
		pinned := wantRevision(t, s, "", "v1@sha1:"+first)
		at(t, s, "main", "main@sha1:"+second)
		fetchNothing(t, s, pinned.Revision)
		wantContents(t, fetch(t, s, "").Tree, map[string]string{"fleet.yaml": "one"})
		repo.inBare("tag", "--force", "v1", second)
		wantContents(t, wantRevision(t, s, pinned.Revision, "v1@sha1:"+second).Tree, map[string]string{"fleet.yaml": "two"})
	})
}

// TestGitReadsOtherRefsDuringAFetch lets a Fetch hang while other calls
// succeed.
func TestGitReadsOtherRefsDuringAFetch(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url()+"?ref=main")
	known := fetch(t, s, "").Revision
	var feature string
	repo.onBranch("feature", func() { feature = repo.commit(map[string]string{"fleet.yaml": "feature"}) })
	second := repo.commit(map[string]string{"fleet.yaml": "two"})

	hangs, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	var hung atomic.Bool
	server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Method == http.MethodPost && hung.CompareAndSwap(false, true) {
			close(hangs)
			<-goOn
		}
		return w
	})
	fetched := make(chan string, 1)
	go func() {
		defer close(fetched)
		if snapshot, err := s.Fetch(deadline(t), known); err == nil {
			fetched <- snapshot.Revision + " " + read(t, snapshot.Tree, "fleet.yaml")
		}
	}()
	<-hangs
	wantContents(t, at(t, s, "feature", "feature@sha1:"+feature).Tree, map[string]string{"fleet.yaml": "feature"})
	release()
	if got, want := <-fetched, "main@sha1:"+second+" two"; got != want {
		t.Errorf("Fetch = %q, want %q", got, want)
	}
	fetchNothing(t, s, "main@sha1:"+second)
}

// TestGitReadsManyRefsAtOnce is for the race detector.
func TestGitReadsManyRefsAtOnce(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		repo.commit(map[string]string{"fleet.yaml": "main", "a.yaml": "a"})
		var feature string
		repo.onBranch("feature", func() { feature = repo.commit(map[string]string{"fleet.yaml": "feature"}) })
		s := open(t, url+"?ref=main")
		for round := range 4 {
			want := "main@sha1:" + repo.commit(map[string]string{"fleet.yaml": fmt.Sprint(round)})
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					snapshot, err := s.Fetch(deadline(t), "")
					if err != nil || snapshot.Revision != want || read(t, snapshot.Tree, "fleet.yaml") != fmt.Sprint(round) {
						t.Errorf("Fetch = %v, %v, want %s", snapshot, err, want)
					}
				})
				all.Go(func() {
					snapshot, err := s.(fleet.RefFetcher).At(deadline(t), "feature")
					if err != nil || snapshot.Revision != "feature@sha1:"+feature || read(t, snapshot.Tree, "fleet.yaml") != "feature" {
						t.Errorf("At = %v, %v, want feature@sha1:%s", snapshot, err, feature)
					}
				})
			}
			all.Wait()
		}
	})
}

// TestGitOtherRefsTransferOnlyDifferences checks for files and descriptors that would
// pile up over many previews.
func TestGitOtherRefsTransferOnlyDifferences(t *testing.T) {
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one", "big.yaml": noise(200 << 10)})
	server := repo.serve()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s := open(t, server.url()+"?ref=main")
	main := fetch(t, s, "")
	opened := 0
	for round := range 8 {
		name := fmt.Sprint("feature-", round)
		var commit string
		repo.onBranch(name, func() { commit = repo.commit(map[string]string{"fleet.yaml": name}) })
		server.takeRequests()
		wantShared(t, main.Tree, at(t, s, name, name+"@sha1:"+commit).Tree, "big.yaml", true)
		if got, bytes := server.takeRequests(); len(got) != 2 || bytes > 20<<10 {
			t.Errorf("requests %q took %d bytes, want two for a small change", got, bytes)
		}
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Fatalf("the temporary directory holds %v (%v), want nothing", left, err)
		}
		files, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		if round == 3 {
			opened = len(files)
		}
		if round > 3 && len(files) > opened+4 {
			t.Fatalf("after %s, %d files are open, and %d were after the fourth", name, len(files), opened)
		}
	}
	at(t, s, "main", main.Revision)
	if got, _ := server.takeRequests(); len(got) != 1 {
		t.Errorf("requests = %q, want one for what is had already", got)
	}
}

// TestGitSendsTokenForOtherRefs lets a Fetch and an At learn at the same time
// how the server wants the token. The second learns it only after the first has
// succeeded.
func TestGitSendsTokenForOtherRefs(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	commit := repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	var asked atomic.Int32
	bothAsked, oneKnows := make(chan struct{}), make(chan struct{})
	told := sync.OnceFunc(func() { close(oneKnows) })
	server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Header.Get("Authorization") == "Bearer "+secretToken {
			told()
			return w
		}
		wait := bothAsked
		if asked.Add(1) == 2 {
			close(bothAsked)
			wait = oneKnows
		}
		select {
		case <-wait:
		case <-r.Context().Done():
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	})
	s := openAs(t, server.url()+"?ref=main", withToken(tokenFile(t, secretToken)))
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := s.Fetch(deadline(t), ""); err != nil {
			t.Errorf("Fetch: %v", err)
		}
	})
	all.Go(func() {
		if _, err := s.(fleet.RefFetcher).At(deadline(t), commit); err != nil {
			t.Errorf("At: %v", err)
		}
	})
	all.Wait()

	server.guard([]string{"Basic"}, basic("git", "another"))
	notAt(t, s, "main", fleet.ErrUnauthenticated, "does not accept the token in --git-token-file")
}

func TestGitOverSSHReadsOtherRefs(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	first := repo.commit(map[string]string{"fleet.yaml": "one"})
	repo.inBare("tag", "v1")
	second := repo.commit(map[string]string{"fleet.yaml": "two"})
	server := repo.serveSSH()
	s := openAs(t, server.url()+"?ref=v1", server.options())
	known := wantRevision(t, s, "", "v1@sha1:"+first).Revision
	wantContents(t, at(t, s, "main", "main@sha1:"+second).Tree, map[string]string{"fleet.yaml": "two"})
	notAt(t, s, "gone", fleet.ErrNotFound, "ref gone: not found")
	fetchNothing(t, s, known)
}

func TestGitOtherRefsEndWithTheContext(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	ctx, cancel := context.WithCancel(t.Context())
	server.intercept(func(http.ResponseWriter, *http.Request) http.ResponseWriter {
		cancel()
		<-t.Context().Done()
		return nil
	})
	if _, err := open(t, server.url()).(fleet.RefFetcher).At(ctx, "main"); !errors.Is(err, context.Canceled) {
		t.Errorf("At = %v, want it to end with its context", err)
	}
}
