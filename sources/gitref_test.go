package sources_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

func wantRevision(t *testing.T, s fleet.Source, known, want string) *fleet.Snapshot {
	t.Helper()
	snapshot := fetch(t, s, known)
	if snapshot.Revision != want {
		t.Errorf("%s is at %q, want %q", s, snapshot.Revision, want)
	}
	return snapshot
}

func TestGitFollowsTags(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		first := repo.commit(map[string]string{"fleet.yaml": "one", "a.yaml": "a"})
		repo.inBare("tag", "light")
		repo.inBare("tag", "--annotate", "--message", "m", "v1.0.0")
		repo.inBare("tag", "--annotate", "--message", "m", "nested", "v1.0.0")
		second := repo.commit(map[string]string{"fleet.yaml": "two"})

		for _, tag := range []string{"light", "v1.0.0", "nested"} {
			s := open(t, url+"?ref="+tag)
			before := wantRevision(t, s, "", tag+"@sha1:"+first)
			wantContents(t, before.Tree, map[string]string{"fleet.yaml": "one", "a.yaml": "a"})
			fetchNothing(t, s, before.Revision)

			// Tags should not move, but moved tags are followed.
			repo.inBare("tag", "--force", "--annotate", "--message", "m", tag, second)
			after := wantRevision(t, s, before.Revision, tag+"@sha1:"+second)
			wantContents(t, after.Tree, map[string]string{"fleet.yaml": "two", "a.yaml": "a"})
			wantShared(t, before.Tree, after.Tree, "a.yaml", true)
		}
	})
}

func TestGitRefusesTagsOfOtherObjects(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		repo.commit(map[string]string{"fleet.yaml": "one"})
		repo.inBare("tag", "light", repo.blob("x"))
		repo.inBare("tag", "--annotate", "--message", "m", "of-tree", repo.inBare("rev-parse", "HEAD^{tree}"))
		previous := "main"
		for i := range 20 {
			tag := fmt.Sprint("tower", i)
			repo.inBare("tag", "--annotate", "--message", "m", tag, previous)
			previous = tag
		}
		for tag, want := range map[string]string{
			"light": "where a commit is needed", "of-tree": "points to a tree, where a commit is needed", "tower19": "more than 16 tags",
		} {
			if err := fetchError(t, open(t, url+"?ref="+tag), want); !errors.Is(err, fleet.ErrInvalid) {
				t.Errorf("error = %v, want a fleet.ErrInvalid", err)
			}
		}
	})
}

// TestGitVerifiesTheCommitOfATag uses a server that announces another commit
// for a tag.
func TestGitVerifiesTheCommitOfATag(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	first := repo.commit(map[string]string{"fleet.yaml": "one"})
	repo.inBare("tag", "--annotate", "--message", "m", "v1.0.0")
	second := repo.commit(map[string]string{"fleet.yaml": "two"})
	server := repo.serve()
	server.replaceInRefs(first+" refs/tags/v1.0.0^{}", second+" refs/tags/v1.0.0^{}")
	fetchError(t, open(t, server.url()+"?ref=v1.0.0"), "refs/tags/v1.0.0 points to another commit than the server says")
}

func TestGitRefusesAmbiguousRef(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		branch := repo.commit(map[string]string{"fleet.yaml": "branch"})
		repo.inBare("branch", "v1/x", branch)
		tag := repo.commit(map[string]string{"fleet.yaml": "tag"})
		repo.inBare("tag", "v1/x", tag)
		err := fetchError(t, open(t, url+"?ref=v1/x"), "a branch and a tag", "?ref=refs/heads/v1/x", "?ref=refs/tags/v1/x")
		if !errors.Is(err, fleet.ErrConflict) {
			t.Errorf("error = %v, want a fleet.ErrConflict", err)
		}
		wantRevision(t, open(t, url+"?ref=refs/heads/v1/x"), "", "v1/x@sha1:"+branch)
		wantRevision(t, open(t, url+"?ref=refs/tags/v1/x"), "", "v1/x@sha1:"+tag)
	})
}

func TestGitFollowsFullRefs(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		repo.commit(map[string]string{"fleet.yaml": "one"})
		pull := repo.commit(map[string]string{"fleet.yaml": "pull"})
		repo.inBare("update-ref", "refs/pull/1/head", pull)
		s := open(t, url+"?ref=refs/pull/1/head")
		snapshot := wantRevision(t, s, "", "refs/pull/1/head@sha1:"+pull)
		wantContents(t, snapshot.Tree, map[string]string{"fleet.yaml": "pull"})
		fetchNothing(t, s, snapshot.Revision)
		fetchError(t, open(t, url+"?ref=refs/pull/2/head"), "ref refs/pull/2/head: not found", "the branch main and no tags")
	})
}

func TestGitFollowsHighestTag(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		at := map[string]string{}
		for _, tag := range []string{"v0.9.0", "1.2.0", "v1.10.0", "v2.0.0-rc.1", "v1.3", "latest", "v9", "v1.9.0"} {
			at[tag] = repo.commit(map[string]string{"fleet.yaml": tag})
			repo.inBare("tag", "--annotate", "--message", "m", tag)
		}
		for versions, want := range map[string]string{
			"*": "v1.10.0", ">=1.0.0": "v1.10.0", "~1.2": "1.2.0", "<1.0": "v0.9.0", ">=1.0.0-0": "v2.0.0-rc.1", "1.9.x": "v1.9.0",
		} {
			wantRevision(t, open(t, url+"?ref=semver:"+versions), "", want+"@sha1:"+at[want])
		}
		fetchError(t, open(t, url+"?ref=semver:>=3"), "tag in semver:>=3: not found", "tags v9, v2.0.0-rc.1")

		s := open(t, url+"?ref=semver:1.x")
		before := wantRevision(t, s, "", "v1.10.0@sha1:"+at["v1.10.0"])
		fetchNothing(t, s, before.Revision)
		next := repo.commit(map[string]string{"fleet.yaml": "v1.11.0"})
		repo.inBare("tag", "v1.11.0")
		wantRevision(t, s, before.Revision, "v1.11.0@sha1:"+next)
		repo.inBare("tag", "--delete", "v1.11.0")
		wantRevision(t, s, "v1.11.0@sha1:"+next, before.Revision)
	})
}

func TestGitListsRefsInErrors(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		commit := repo.commit(map[string]string{"fleet.yaml": "one"})
		err := fetchError(t, open(t, url+"?ref=mian"), "ref mian: not found", "the branch main and no tags")
		if !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("error = %v, want a fleet.ErrNotFound", err)
		}
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			repo.inBare("branch", name, "main")
			repo.inBare("tag", "v"+name, "main")
		}
		fetchError(t, open(t, url+"?ref=mian"), "the branches a, b, c, d, e and 2 more and the tags vf, ve, vd, vc, vb and 1 more")
		fetchError(t, open(t, url+"?ref="+commit[:12]), "write all 40 digits")
		repo.inBare("symbolic-ref", "HEAD", "refs/heads/gone")
		fetchError(t, open(t, url), "default branch", "?ref=", "the branches a,")
	})
}

// TestGitReadsPinnedCommit uses servers that give out any commit, and servers
// that give out only what a ref points to.
func TestGitReadsPinnedCommit(t *testing.T) {
	t.Parallel()
	for _, server := range []struct {
		name, option string
		filter       string
		depth        string
	}{
		{"plain", "", "false", "all"},
		{"plain with filter", "", "true", "all"},
		{"reachable", "uploadpack.allowReachableSHA1InWant", "false", "one"},
		{"any", "uploadpack.allowAnySHA1InWant", "true", "one"},
	} {
		t.Run(server.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, repo *gitRepo, url string) {
				if server.option != "" {
					repo.inBare("config", server.option, "true")
				}
				repo.inBare("config", "uploadpack.allowFilter", server.filter)
				repo.commit(map[string]string{"fleet.yaml": "zero", "old.yaml": noise(9000)})
				pinned := repo.commit(map[string]string{"fleet.yaml": "one", "old.yaml": "-"})
				tagged := repo.commit(map[string]string{"fleet.yaml": "two"})
				repo.inBare("tag", "--annotate", "--message", "m", "v1")
				repo.commit(map[string]string{"fleet.yaml": "three"})
				tip := repo.commit(map[string]string{"fleet.yaml": "four"})
				for commit, want := range map[string]string{pinned: "one", tagged: "two", tip: "four"} {
					s := open(t, url+"?ref="+commit)
					snapshot := wantRevision(t, s, "", "sha1:"+commit)
					wantContents(t, snapshot.Tree, map[string]string{"fleet.yaml": want})
					fetchNothing(t, s, snapshot.Revision)
				}
				gone := strings.Repeat("ab", 20)
				if err := fetchError(t, open(t, url+"?ref="+gone), "commit "+gone, "not found"); !errors.Is(err, fleet.ErrNotFound) {
					t.Errorf("error = %v, want a fleet.ErrNotFound", err)
				}
			})
		})
	}
}

func TestGitSendsNoRequestForAKnownPinnedCommit(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	commit := repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url()+"?ref="+commit)
	fetchNothing(t, s, "sha1:"+commit)
	if got, _ := server.takeRequests(); len(got) > 0 {
		t.Errorf("requests = %q, want none", got)
	}
	fetch(t, s, "")
	server.takeRequests()
	fetch(t, s, "")
	fetchNothing(t, s, "sha1:"+commit)
	if got, _ := server.takeRequests(); len(got) > 0 {
		t.Errorf("requests = %q, want none", got)
	}
}

// TestGitFetchesOneCommitWhereItCan counts the bytes that are transferred.
func TestGitFetchesOneCommitWhereItCan(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"old": noise(200 << 10)})
	reachable := repo.commit(map[string]string{"fleet.yaml": "one", "old": "-"})
	tagged := repo.commit(map[string]string{"fleet.yaml": "one"})
	repo.inBare("tag", "--annotate", "--message", "m", "v1")
	repo.commit(map[string]string{"new": noise(200 << 10)})
	server := repo.serve()
	for commit, allow := range map[string]string{reachable: "true", tagged: "false"} {
		repo.inBare("config", "uploadpack.allowReachableSHA1InWant", allow)
		wantContents(t, fetch(t, open(t, server.url()+"?ref="+commit), "").Tree, map[string]string{"fleet.yaml": "one"})
		if got, bytes := server.takeRequests(); bytes > 20<<10 || !slices.Equal(got, []string{"GET refs", "POST git-upload-pack"}) {
			t.Errorf("requests %q took %d bytes, want two for one small commit", got, bytes)
		}
	}
}

func TestGitPinnedHashThatIsNoCommit(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		repo.commit(map[string]string{"fleet.yaml": "one"})
		repo.inBare("tag", "--annotate", "--message", "m", "v1")
		fetchError(t, open(t, url+"?ref="+repo.inBare("rev-parse", "v1")), "is a tag where a commit is needed")
		fetchError(t, open(t, url+"?ref="+repo.inBare("rev-parse", "main^{tree}")), "")
	})
}

// TestGitReadsACommitOfABranch pins a commit that must be on the branch.
func TestGitReadsACommitOfABranch(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		first := repo.commit(map[string]string{"fleet.yaml": "one"})
		second := repo.commit(map[string]string{"fleet.yaml": "two"})
		repo.inBare("branch", "other", first)
		third := repo.commit(map[string]string{"fleet.yaml": "three"})
		repo.inBare("tag", "v1", first)
		for _, commit := range []string{first, second, third} {
			ref := url + "?ref=main&commit=" + commit
			s := open(t, ref)
			if s.String() != ref {
				t.Errorf("String() = %q, want %q", s, ref)
			}
			snapshot := wantRevision(t, s, "", "main@sha1:"+commit)
			wantContents(t, snapshot.Tree, map[string]string{"fleet.yaml": map[string]string{first: "one", second: "two", third: "three"}[commit]})
			fetchNothing(t, s, snapshot.Revision)
		}
		s := open(t, url+"?ref=other&commit="+second)
		fetchError(t, s, "commit "+second+": not found; the branch other does not lead to it")
		fetchError(t, s, "the branch other does not lead to it")
		repo.inBare("update-ref", "refs/heads/other", third)
		wantRevision(t, s, "", "other@sha1:"+second)
		fetchError(t, open(t, url+"?ref=v1&commit="+first), "ref refs/tags/v1: ", "it is a tag, and commit must be on a branch")
	})
	for query, want := range map[string]string{
		"ref=main&commit=abc":                              "all of its 40 hexadecimal digits",
		"commit=" + strings.Repeat("a", 40):                "commit must be on a branch",
		"ref=semver:1.x&commit=" + strings.Repeat("a", 40): "commit must be on a branch",
	} {
		_, err := sources.Open("https://git.example.com/fleet.git?"+query, sources.Options{})
		wantText(t, err, want)
	}
}
