package sources_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// signingKey creates an SSH key, and returns the file of its private half.
func signingKey(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	out, err := exec.Command(tool(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	return file
}

// signWith makes the following commits be signed with a key; "" for none.
func (r *gitRepo) signWith(key string) {
	r.t.Helper()
	r.inBare("config", "gpg.format", "ssh")
	r.inBare("config", "user.signingkey", key)
	sign := "true"
	if key == "" {
		sign = "false"
	}
	r.inBare("config", "commit.gpgsign", sign)
}

func trustingKeys(mode sources.VerifyMode, keys ...string) sources.Options {
	o := sources.Options{Git: sources.GitOptions{Verify: mode}}
	for _, key := range keys {
		o.Git.VerifyKeyFiles = append(o.Git.VerifyKeyFiles, key+".pub")
	}
	return o
}

// wantRefusedAs fetches and expects a refusal of that revision.
func wantRefusedAs(t *testing.T, s sources.Source, known, revision string, want ...string) {
	t.Helper()
	snapshot, err := s.Fetch(deadline(t), known)
	var refused *fleet.RefusedError
	if !errors.As(err, &refused) || refused.Revision != revision {
		t.Fatalf("Fetch(%q) = %v, %v, want a fleet.RefusedError of %s", known, snapshot, err, revision)
	}
	wantText(t, err, want...)
}

func TestGitReadsOnlySignedCommits(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		alice, mallory := signingKey(t, "alice"), signingKey(t, "mallory")
		repo.signWith(alice)
		good := repo.commit(map[string]string{"fleet.yaml": "one", "a": "a"})
		for _, mode := range []sources.VerifyMode{"", sources.VerifyHead} {
			s := openAs(t, url, trustingKeys(mode, alice))
			before := wantRevision(t, s, "", "main@sha1:"+good)

			repo.signWith("")
			unsigned := repo.commit(map[string]string{"fleet.yaml": "two"})
			wantRefusedAs(t, s, before.Revision, "main@sha1:"+unsigned, "not signed")
			fetchNothing(t, s, "main@sha1:"+unsigned)

			repo.signWith(mallory)
			foreign := repo.commit(map[string]string{"fleet.yaml": "three"})
			wantRefusedAs(t, s, before.Revision, "main@sha1:"+foreign, "not trusted")

			// An unsigned parent is accepted: the signer vouches for the whole
			// tree.
			repo.signWith(alice)
			good = repo.commit(map[string]string{"fleet.yaml": "four"})
			after := wantRevision(t, s, "main@sha1:"+foreign, "main@sha1:"+good)
			wantContents(t, after.Tree, map[string]string{"fleet.yaml": "four", "a": "a"})
		}
	})
}

func TestGitReadsNoTreeOfAnUnsignedCommit(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	alice := signingKey(t, "alice")
	commit := repo.commitTree("100644 ..\x00" + repo.blob("x"))
	wantRefusedAs(t, openAs(t, repo.fileURL(), trustingKeys("", alice)), "", "main@sha1:"+commit, "not signed")
	wantRefusedAs(t, openAs(t, repo.fileURL()+"?path=gone", trustingKeys("", alice)), "", "main@sha1:"+commit, "not signed")
}

func TestGitReadsOnlySignedTags(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		alice, mallory := signingKey(t, "alice"), signingKey(t, "mallory")
		tag := func(key, name, at string) {
			t.Helper()
			repo.signWith(key)
			kind := "--sign"
			if key == "" {
				kind = "--annotate"
			}
			repo.inBare("tag", kind, "--message", "m", name, at)
		}
		repo.signWith("")
		unsigned := repo.commit(map[string]string{"fleet.yaml": "one"})
		repo.signWith(alice)
		signed := repo.commit(map[string]string{"fleet.yaml": "two"})
		for name, at := range map[string]string{"unsigned": unsigned, "signed": signed} {
			repo.inBare("tag", name+"-light", at)
			tag("", name+"-annotated", at)
			tag(mallory, name+"-mallory", at)
			tag(alice, name+"-alice", at)
			// Someone who may push, but not sign, moves a tag, or creates a tag
			// of a tag.
			repo.inBare("update-ref", "refs/tags/"+name+"-moved", "refs/tags/"+name+"-alice")
			tag("", name+"-over", name+"-alice")
			tag(alice, name+"-nested", name+"-annotated")
		}
		const good = ""
		for _, c := range []struct{ ref, tag, head, both string }{
			{"main", "not found by a tag", good, "not found by a tag"},
			{signed, "not found by a tag", good, "not found by a tag"},
			{"signed-light", "is not annotated", good, "is not annotated"},
			{"signed-annotated", "not signed", good, "not signed"},
			{"signed-mallory", "not trusted", good, "not trusted"},
			{"signed-alice", good, good, good},
			{"signed-moved", "signed under another name, signed-alice", good, "signed under another name, signed-alice"},
			{"signed-over", "not signed", good, "not signed"},
			{"signed-nested", good, good, good},
			{"unsigned-light", "is not annotated", "commit is not signed", "is not annotated"},
			{"unsigned-annotated", "tag is not signed", "commit is not signed", "tag is not signed"},
			{"unsigned-alice", good, "commit is not signed", "commit is not signed"},
			{"unsigned-nested", good, "commit is not signed", "commit is not signed"},
		} {
			for mode, want := range map[sources.VerifyMode]string{sources.VerifyTag: c.tag, sources.VerifyHead: c.head, sources.VerifyTagAndHead: c.both} {
				s := openAs(t, url+"?ref="+c.ref, trustingKeys(mode, alice))
				snapshot, err := s.Fetch(deadline(t), "")
				switch {
				case want == good && err != nil:
					t.Errorf("%s of %s: %v, want a snapshot", mode, c.ref, err)
				case want == good && snapshot == nil:
					t.Errorf("%s of %s: no snapshot", mode, c.ref)
				case want != good && !errors.Is(err, fleet.ErrInvalid):
					t.Errorf("%s of %s: %v, want a fleet.ErrInvalid", mode, c.ref, err)
				case want != good:
					wantText(t, err, want)
				}
			}
		}
	})
}

func TestGitVerifiesATagThatWasSignedLater(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	alice := signingKey(t, "alice")
	commit := repo.commit(map[string]string{"fleet.yaml": "one"})
	repo.inBare("tag", "--annotate", "--message", "m", "v1")
	s := openAs(t, repo.serve().url()+"?ref=v1", trustingKeys(sources.VerifyTag, alice))
	revision := "v1@sha1:" + commit
	wantRefusedAs(t, s, "", revision, "not signed")
	fetchNothing(t, s, revision)
	repo.signWith(alice)
	repo.inBare("tag", "--force", "--sign", "--message", "m", "v1")
	fetch(t, s, revision)
	fetchNothing(t, s, revision)

	// The same commit under a second tag needs a second signature.
	repo.inBare("tag", "--annotate", "--no-sign", "--message", "m", "--force", "v1", commit)
	wantRefusedAs(t, s, "", revision, "not signed")
}

func TestGitVerifiesAgainWithOtherKeys(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"main", "pinned"} {
		t.Run(ref, func(t *testing.T) {
			repo := newGitRepo(t)
			alice, bob := signingKey(t, "alice"), signingKey(t, "bob")
			repo.signWith(bob)
			commit := repo.commit(map[string]string{"fleet.yaml": "one"})
			keys := filepath.Join(t.TempDir(), "keys")
			copyFile(t, alice+".pub", keys+".pub")
			server := repo.serve()
			url, revision := server.url()+"?ref=main", "main@sha1:"+commit
			if ref == "pinned" {
				url, revision = server.url()+"?ref="+commit, "sha1:"+commit
			}
			s := openAs(t, url, trustingKeys("", keys))
			wantRefusedAs(t, s, "", revision, "not trusted")
			server.takeRequests()
			wantRefusedAs(t, s, "", revision, "not trusted")
			fetchNothing(t, s, revision)
			if got, _ := server.takeRequests(); slices.Contains(got, "POST git-upload-pack") {
				t.Errorf("requests = %q, want no pack of what was refused already", got)
			}

			copyFile(t, bob+".pub", keys+".pub")
			fetch(t, s, revision)
			fetchNothing(t, s, revision)
			fetch(t, s, "")

			// The current revision is refused from now on, and the server is
			// not asked for it.
			server.takeRequests()
			copyFile(t, alice+".pub", keys+".pub")
			wantRefusedAs(t, s, revision, revision, "not trusted")
			wantRefusedAs(t, s, "", revision, "not trusted")
			if got, _ := server.takeRequests(); slices.Contains(got, "POST git-upload-pack") {
				t.Errorf("requests = %q, want no pack of what is there", got)
			}
			copyFile(t, bob+".pub", keys+".pub")
			fetch(t, s, "")
			fetchNothing(t, s, revision)

			must(t, os.Remove(keys+".pub"))
			var refused *fleet.RefusedError
			if err := fetchError(t, s, "--verify-git-keys", "no such file"); errors.As(err, &refused) {
				t.Errorf("error = %v, which blames the revision", err)
			}
		})
	}
}
