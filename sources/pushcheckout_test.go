package sources_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/push"
)

// gitCheckout is a working copy that git created, and a registry to push it to.
type gitCheckout struct {
	t        *testing.T
	dir      string
	registry *registryServer
}

// newGitCheckout returns a checkout with one commit on main, at
// 2026-01-02T03:04:05Z.
func newGitCheckout(t *testing.T, files map[string]string) *gitCheckout {
	t.Helper()
	c := &gitCheckout{t, writeTree(t, files), newRegistryServer(t)}
	c.git("init", "--quiet", "--initial-branch=main")
	c.git("remote", "add", "origin", "https://git.example.com/acme/fleet.git")
	c.commit()
	return c
}

// at returns the same checkout with another directory.
func (c *gitCheckout) at(dir string) *gitCheckout { return &gitCheckout{c.t, dir, c.registry} }

func (c *gitCheckout) git(args ...string) string {
	c.t.Helper()
	cmd := exec.Command(tool(c.t, "git"), args...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), gitEnv()...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// commit returns the commit's hash.
func (c *gitCheckout) commit() string {
	c.t.Helper()
	c.git("add", "--all")
	c.git("commit", "--allow-empty", "--quiet", "--message", "a change")
	return c.git("rev-parse", "HEAD")
}

func (c *gitCheckout) write(name, content string) {
	c.t.Helper()
	write(c.t, c.dir, name, content)
}

// push pushes only with information from the checkout.
func (c *gitCheckout) push(below ...string) push.Result {
	c.t.Helper()
	return c.registry.pushWith(filepath.Join(append([]string{c.dir}, below...)...), "fleet:v1", push.Options{Options: c.registry.options()})
}

const committed = "2026-01-02T03:04:05Z"

func wantDescribed(t *testing.T, p push.Result, source, revision, created string, differ ...string) {
	t.Helper()
	if p.Source != source || p.Revision != revision || p.Created != created || !slices.Equal(p.Differ, differ) {
		t.Errorf("pushed source %q, revision %q, created %q, differing %q; want %q, %q, %q, %q",
			p.Source, p.Revision, p.Created, p.Differ, source, revision, created, differ)
	}
}

const acme = "https://git.example.com/acme/fleet.git"

func TestPushRecordsTheCheckout(t *testing.T) {
	t.Parallel()
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a", "sub/deep/b.yaml": "b", "sub/link": "-> deep/b.yaml", "run.sh": "x"})
	must(t, os.Chmod(filepath.Join(c.dir, "run.sh"), 0o755))
	head := c.commit()
	wantDescribed(t, c.push(), acme, "main@sha1:"+head, committed)
	wantDescribed(t, c.push("sub", "deep"), acme, "main@sha1:"+head, committed)
	c.git("gc", "--quiet")
	c.git("pack-refs", "--all")
	wantDescribed(t, c.push(), acme, "main@sha1:"+head, committed)

	c.git("checkout", "--quiet", "-b", "feature/one")
	wantDescribed(t, c.push(), acme, "feature/one@sha1:"+head, committed)
	c.git("checkout", "--quiet", "--detach")
	wantDescribed(t, c.push(), acme, "sha1:"+head, committed)
	c.git("tag", "-a", "-m", "one", "v1.0.0")
	wantDescribed(t, c.push(), acme, "v1.0.0@sha1:"+head, committed)
	c.git("tag", "stable")
	wantDescribed(t, c.push(), acme, "sha1:"+head, committed)
	c.git("tag", "-d", "v1.0.0")
	wantDescribed(t, c.push(), acme, "stable@sha1:"+head, committed)
	// A branch takes precedence over a tag, because the user chose to check it
	// out.
	c.git("checkout", "--quiet", "main")
	wantDescribed(t, c.push(), acme, "main@sha1:"+head, committed)
}

// TestPushFollowsALinkToTheCheckout uses a link outside of any checkout.
func TestPushFollowsALinkToTheCheckout(t *testing.T) {
	t.Parallel()
	c := newGitCheckout(t, map[string]string{"fleet/fleet.yaml": "a"})
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(filepath.Join(c.dir, "fleet"), link))
	wantDescribed(t, c.at(link).push(), acme, "main@sha1:"+c.git("rev-parse", "HEAD"), committed)
}

func TestPushRecordsTimeInUTC(t *testing.T) {
	t.Parallel()
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a"})
	cmd := exec.Command(tool(t, "git"), "commit", "--allow-empty", "--quiet", "--message", "a change")
	cmd.Dir, cmd.Env = c.dir, append(append(os.Environ(), gitEnv()...), "GIT_COMMITTER_DATE=2026-05-06T01:02:03+02:00")
	must(t, cmd.Run())
	wantDescribed(t, c.push(), acme, "main@sha1:"+c.git("rev-parse", "HEAD"), "2026-05-05T23:02:03Z")
}

func TestPushListsDifferencesFromTheCommit(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"fleet.yaml": "a", "changed": "a", "gone": "a", "mode": "a", "link": "-> fleet.yaml", "kind": "a",
		"dir/gone": "a", "file-to-dir": "a", ".gitignore": "*.log\n", "same/deep": "a",
	}
	c := newGitCheckout(t, files)
	head := c.git("rev-parse", "HEAD")
	times := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(filepath.Join(c.dir, "fleet.yaml"), times, times))
	wantDescribed(t, c.push(), acme, "main@sha1:"+head, committed)

	c.write("changed", "b")
	must(t, os.Remove(filepath.Join(c.dir, "gone")))
	must(t, os.RemoveAll(filepath.Join(c.dir, "dir")))
	must(t, os.Chmod(filepath.Join(c.dir, "mode"), 0o755))
	point(t, filepath.Join(c.dir, "link"), "changed")
	must(t, os.Remove(filepath.Join(c.dir, "kind")))
	must(t, os.Symlink("fleet.yaml", filepath.Join(c.dir, "kind")))
	must(t, os.Remove(filepath.Join(c.dir, "file-to-dir")))
	c.write("file-to-dir/x", "a")
	c.write("left.log", "of a build")
	c.write("same/new", "a")
	c.write("new/dir/x", "a")
	differ := []string{"changed", "dir/gone", "file-to-dir", "file-to-dir/x", "gone", "kind", "link", "mode", "new/dir/x", "same/new"}
	wantDescribed(t, c.push(), acme, "main@sha1:"+head+"-dirty", "", differ...)
	// Files in the index are not committed either.
	c.git("add", "--all")
	wantDescribed(t, c.push(), acme, "main@sha1:"+head+"-dirty", "", differ...)
	c.git("checkout", "--quiet", "--detach")
	wantDescribed(t, c.push("same"), acme, "sha1:"+head+"-dirty", "", "new")
}

func TestPushOptionsOverrideTheCheckout(t *testing.T) {
	t.Parallel()
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a"})
	c.write("fleet.yaml", "b")
	o := push.Options{
		Options: c.registry.options(), Source: "ssh://elsewhere/fleet", Revision: "v1@sha1:abc",
		Created: time.Date(2000, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	wantDescribed(t, c.registry.pushWith(c.dir, "fleet:v1", o), o.Source, o.Revision, "2000-01-02T03:04:05Z", "fleet.yaml")
	o.Created, o.Source = time.Time{}, ""
	wantDescribed(t, c.registry.pushWith(c.dir, "fleet:v1", o), acme, o.Revision, "", "fleet.yaml")
}

func TestPushWithoutACheckout(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	dir := writeTree(t, pushedFiles)
	nothing := push.Options{Options: r.options()}
	wantDescribed(t, r.pushWith(dir, "fleet:v1", nothing), "", "", "")
	manifest := r.oras(dir, "manifest", "fetch", r.host+"/fleet:v1")
	if strings.Contains(manifest, "org.opencontainers.image.source") || strings.Contains(manifest, "created") || strings.Contains(manifest, "revision") {
		t.Errorf("manifest = %s, want it to say nothing of what is not known", manifest)
	}
	c := (&gitCheckout{t: t, dir: dir, registry: r})
	c.git("init", "--quiet")
	wantDescribed(t, c.push(), "", "", "") // There is no commit.
}

// TestPushOfADirectoryThatIsNotCommitted uses a directory in the checkout of
// something else.
func TestPushOfADirectoryThatIsNotCommitted(t *testing.T) {
	t.Parallel()
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a", "file": "a"})
	c.write("build/out/fleet.yaml", "a")
	wantDescribed(t, c.push("build", "out"), "", "", "")
	must(t, os.Remove(filepath.Join(c.dir, "file")))
	c.write("file/fleet.yaml", "a")
	wantDescribed(t, c.push("file"), "", "", "")
}

func TestPushFromALinkedWorktree(t *testing.T) {
	t.Parallel()
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a", "sub/a.yaml": "a"})
	linked := c.at(filepath.Join(t.TempDir(), "linked"))
	c.git("worktree", "add", "--quiet", "-b", "other", linked.dir)
	linked.write("sub/a.yaml", "b")
	head := linked.commit()
	wantDescribed(t, linked.push(), acme, "other@sha1:"+head, committed)
	wantDescribed(t, linked.push("sub"), acme, "other@sha1:"+head, committed)
	wantDescribed(t, c.push(), acme, "main@sha1:"+c.git("rev-parse", "HEAD"), committed)
}

func TestPushFromAndAroundASubmodule(t *testing.T) {
	t.Parallel()
	inner := newGitCheckout(t, map[string]string{"base/a.yaml": "a"})
	outer := newGitCheckout(t, map[string]string{"fleet.yaml": "a"})
	outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.dir, "platform")
	head := outer.commit()
	wantDescribed(t, outer.push(), acme, "main@sha1:"+head, committed)
	wantContents(t, fetch(t, outer.registry.open("fleet:v1"), "").Tree, map[string]string{
		"fleet.yaml": "a", "platform/base/a.yaml": "a",
	})
	module := outer.at(filepath.Join(outer.dir, "platform"))
	module.git("remote", "set-url", "origin", "git@git.example.com:acme/platform.git")
	wantDescribed(t, module.push("base"), "git@git.example.com:acme/platform.git", "main@sha1:"+inner.git("rev-parse", "HEAD"), committed)
	module.write("base/a.yaml", "b")
	wantDescribed(t, outer.push(), acme, "main@sha1:"+head+"-dirty", "", "platform")
	// Another commit of the submodule is another tree.
	module.commit()
	wantDescribed(t, outer.push(), acme, "main@sha1:"+head+"-dirty", "", "platform")
	outer.git("submodule", "--quiet", "deinit", "--force", "platform")
	wantDescribed(t, outer.push(), acme, "main@sha1:"+head, committed)
}

// TestPushKnowsContentFromGitLFS uses the file that a committed pointer stands
// for, and a filter in place of Git LFS.
func TestPushKnowsContentFromGitLFS(t *testing.T) {
	t.Parallel()
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\nsize 1\n"
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a", "logo": pointer})
	c.git("config", "filter.lfs.clean", "sed -z 's|^a$|"+strings.ReplaceAll(pointer, "\n", `\n`)+"|'")
	must(t, os.WriteFile(filepath.Join(c.dir, ".git", "info", "attributes"), []byte("logo filter=lfs\n"), 0o600))
	head := c.git("rev-parse", "HEAD")
	c.write("logo", "a")
	c.git("add", "logo") // As a checkout by Git LFS does, this records the file's size.
	wantDescribed(t, c.push(), acme, "main@sha1:"+head, committed)
	c.write("logo", "b")
	wantDescribed(t, c.push(), acme, "main@sha1:"+head+"-dirty", "", "logo")
}

func TestPushNamesNoCredentialOfTheRemote(t *testing.T) {
	t.Parallel()
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a"})
	revision := "main@sha1:" + c.git("rev-parse", "HEAD")
	for remote, want := range map[string]string{
		"https://x-access-token:ghs_secret@github.com/acme/fleet?token=secret#secret": "https://github.com/acme/fleet",
		"https://ghs_secret@github.com/acme/fleet.git":                                "https://github.com/acme/fleet.git",
		"http://git.example.com:8080/a%2Fb.git":                                       "http://git.example.com:8080/a%2Fb.git",
		"ssh://git:secret@git.example.com:2222/acme/fleet.git":                        "ssh://git@git.example.com:2222/acme/fleet.git",
		"ssh://glpat-0123456789abcdefsecret0123456789@git.example.com/a.git":          "ssh://git.example.com/a.git",
		"git@github.com:acme/fleet.git":                                               "git@github.com:acme/fleet.git",
		"github.com:acme/fleet.git":                                                   "github.com:acme/fleet.git",
		"glpat-0123456789abcdefsecret0123456789@github.com:acme/fleet.git":            "github.com:acme/fleet.git",
		"user:secret@github.com:acme/fleet.git":                                       "",
		"file:///srv/git/fleet.git":                                                   "",
		"/home/somebody/fleet.git":                                                    "",
		"../fleet.git":                                                                "",
		"https://user:sec%ret@git.example.com/fleet.git":                              "",
	} {
		c.git("remote", "set-url", "origin", remote)
		wantDescribed(t, c.push(), want, revision, committed)
	}
	c.git("remote", "rename", "origin", "upstream")
	wantDescribed(t, c.push(), "", revision, committed)
}

func TestPushFromACheckoutThatCannotBeRead(t *testing.T) {
	t.Parallel()
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a"})
	must(t, os.RemoveAll(filepath.Join(c.dir, ".git", "objects")))
	must(t, os.Mkdir(filepath.Join(c.dir, ".git", "objects"), 0o755))
	pushed := c.push()
	wantDescribed(t, pushed, "", "", "")
	if want := "git checkout of " + c.dir + ": "; !strings.HasPrefix(pushed.Warning, want) {
		t.Errorf("warning = %q, want %q and why", pushed.Warning, want)
	}
	o := push.Options{Options: c.registry.options(), Source: "https://git.example.com/fleet", Revision: "main@sha1:abc"}
	wantDescribed(t, c.registry.pushWith(c.dir, "fleet:v1", o), o.Source, o.Revision, "")
	// Without its configuration, what it ignores is not known.
	must(t, os.Remove(filepath.Join(c.dir, ".git", "HEAD")))
	c.registry.pushError(c.dir, "fleet:v1", o, "git checkout of "+c.dir+": the files that it ignores, which may be secrets, are not known")
}

func TestPushFromASparseCheckout(t *testing.T) {
	t.Parallel()
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a", "docs/b": "b", "base/c": "c"})
	head := c.git("rev-parse", "HEAD")
	c.git("sparse-checkout", "set", "base")
	pushed := c.push()
	wantDescribed(t, pushed, acme, "main@sha1:"+head, committed)
	wantContents(t, fetch(t, c.registry.open("fleet:v1"), "").Tree, map[string]string{"fleet.yaml": "a", "base/c": "c"})
}

func TestPushFromASHA256Checkout(t *testing.T) {
	t.Parallel()
	c := &gitCheckout{t, writeTree(t, map[string]string{"fleet.yaml": "a"}), newRegistryServer(t)}
	c.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
	c.git("remote", "add", "origin", acme)
	head := c.commit()
	wantDescribed(t, c.push(), acme, "main@sha256:"+head, committed)
}

// TestPushLeavesOutWhatGitIgnores writes secrets that a .gitignore of the
// checkout, one in a submodule, and the checkout's own exclude file name.
func TestPushLeavesOutWhatGitIgnores(t *testing.T) {
	t.Parallel()
	inner := newGitCheckout(t, map[string]string{"base/a.yaml": "a", ".gitignore": "*.key\n"})
	c := newGitCheckout(t, map[string]string{"fleet/fleet.yaml": "a", ".gitignore": ".env\n/fleet/node_modules/\ntracked\n", "fleet/link": "-> fleet.yaml"})
	c.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.dir, "fleet/platform")
	c.write("fleet/tracked", "a")
	c.git("add", "--force", "fleet/tracked")
	head := c.commit()
	must(t, os.WriteFile(filepath.Join(c.dir, ".git", "info", "exclude"), []byte("*.pem\n"), 0o600))
	c.write("fleet/.env", "secret")
	c.write("fleet/deep/.env", "secret")
	c.write("fleet/tls.pem", "secret")
	c.write("fleet/node_modules/a/index.js", "much")
	c.write("fleet/platform/cosign.key", "secret")
	c.git("init", "--quiet", "fleet/node_modules/b") // A checkout in an ignored directory.
	c.write("fleet/node_modules/b/c", "much")
	pushed := c.push("fleet")
	wantDescribed(t, pushed, acme, "main@sha1:"+head, committed)
	if want := []string{".env", "deep", "node_modules", "platform/.gitignore", "platform/cosign.key", "tls.pem"}; !slices.Equal(pushed.Ignored, want) {
		t.Errorf("left out %q, want %q", pushed.Ignored, want)
	}
	wantContents(t, fetch(t, c.registry.open("fleet:v1"), "").Tree, map[string]string{
		"fleet.yaml": "a", "link": "a", "tracked": "a", "platform/base/a.yaml": "a",
	})
	point(t, filepath.Join(c.dir, "fleet", "link"), ".env")
	c.registry.pushError(filepath.Join(c.dir, "fleet"), "fleet:v1", push.Options{Options: c.registry.options()}, "link: symbolic link to .env leads to nothing")
}

// TestPushLeavesOutTheSameAsGit compares with git check-ignore for random
// ignore files.
func TestPushLeavesOutTheSameAsGit(t *testing.T) {
	t.Parallel()
	registry := newRegistryServer(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	part := func() string { return []string{"a", "b", ".env", "x.key", "dir"}[rnd.IntN(5)] }
	pattern := func() string {
		text := []string{part(), "*.key", part() + "/" + part(), "**/" + part(), part() + "/**", "/" + part(), "[a-b]", "?", `\.env`, "*", part() + "/"}[rnd.IntN(11)]
		return []string{"", "", "!"}[rnd.IntN(3)] + text + []string{"", "", "/", " "}[rnd.IntN(4)]
	}
	for range 30 {
		files := map[string]string{"fleet.yaml": "a"}
		for range 12 {
			name := part()
			for range rnd.IntN(3) {
				name += ".d/" + part()
			}
			files[name] = "content"
		}
		for _, at := range []string{".gitignore", "a.d/.gitignore", "dir.d/.gitignore"} {
			var lines strings.Builder
			for range rnd.IntN(4) {
				lines.WriteString(pattern() + "\n")
			}
			files[at] = lines.String()
		}
		c := &gitCheckout{t, writeTree(t, files), registry}
		c.git("init", "--quiet")
		names := slices.Sorted(maps.Keys(files))
		cmd := exec.Command(tool(t, "git"), append([]string{"-C", c.dir, "check-ignore", "--"}, names...)...)
		cmd.Env = append(os.Environ(), gitEnv()...)
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
			t.Fatalf("git check-ignore: %v", err)
		}
		ignored := strings.Fields(string(out))
		var want []string
		for _, name := range names {
			if !slices.Contains(ignored, name) && path.Base(name) != ".gitignore" { // Flux leaves these out.
				want = append(want, name)
			}
		}
		if len(want) == 0 {
			continue // Nothing is left to push.
		}
		var got []string
		o := push.Options{Options: registry.options(), Check: func(_ context.Context, s *fleet.Snapshot) error {
			return fs.WalkDir(s.Tree, ".", func(name string, entry fs.DirEntry, err error) error {
				if !entry.IsDir() {
					got = append(got, name)
				}
				return err
			})
		}}
		registry.pushWith(c.dir, "fleet:v1", o)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Fatalf("pushed %q of %q, want %q", got, files, want)
		}
	}
}

// TestPushFromAShallowClone uses a clone as in CI.
func TestPushFromAShallowClone(t *testing.T) {
	t.Parallel()
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a", "sub/b": "b"})
	c.write("fleet.yaml", "b")
	head := c.commit()
	for _, flags := range [][]string{{"--depth=1"}, {"--depth=1", "--filter=blob:none"}, {"--reference", c.dir}} {
		clone := c.at(filepath.Join(t.TempDir(), "clone"))
		c.git("config", "uploadpack.allowFilter", "true")
		c.git(append(append([]string{"clone", "--quiet"}, flags...), "file://"+c.dir, clone.dir)...)
		clone.git("remote", "set-url", "origin", acme)
		wantDescribed(t, clone.push(), acme, "main@sha1:"+head, committed)
	}
}

// The container image has no git.
func TestPushOfACheckoutWithoutGit(t *testing.T) {
	c := newGitCheckout(t, map[string]string{"fleet.yaml": "a"})
	t.Setenv("PATH", t.TempDir())
	c.registry.pushError(c.dir, "fleet:v1", push.Options{Options: c.registry.options()},
		"git is not installed, and without it the files that Git ignores, which may be secrets, are not known", "git archive HEAD | tar -x -C DIR")
}
