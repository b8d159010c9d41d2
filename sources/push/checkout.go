package push

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// checkout is a Git checkout that contains a directory. It asks git, which
// reads every format and setting of a checkout that it made.
type checkout struct {
	ctx       context.Context
	directory string
}

// openCheckout looks for a checkout in the directory and its parents. It
// returns nil if there is none.
func openCheckout(ctx context.Context, directory string) (*checkout, error) {
	directory, err := filepath.EvalSymlinks(directory) // As in Git, the parents of a link are not the parents of its target.
	if err != nil {
		return nil, err
	}
	for parent := directory; ; parent = filepath.Dir(parent) {
		if exists(filepath.Join(parent, ".git")) {
			return &checkout{ctx, directory}, nil
		}
		if parent == filepath.Dir(parent) {
			return nil, nil
		}
	}
}

// git runs git in the directory, without hooks, prompts and the network.
func (c *checkout) git(args ...string) (string, error) {
	cmd := exec.CommandContext(c.ctx, "git", append([]string{"-C", c.directory, "-c", "core.fsmonitor=false"}, args...)...)
	ofHook := func(variable string) bool { // Git sets them for its hooks, which may run a push.
		name, _, _ := strings.Cut(variable, "=")
		return name == "GIT_DIR" || name == "GIT_WORK_TREE" || name == "GIT_INDEX_FILE" || name == "GIT_PREFIX"
	}
	cmd.Env = append(slices.DeleteFunc(os.Environ(), ofHook), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1")
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && len(exit.Stderr) > 0 {
		err = errors.New(message.Clean(string(exit.Stderr)))
	}
	return strings.TrimSuffix(string(out), "\n"), err
}

// provenance describes what is checked out.
type provenance struct {
	// source is the URL that it was cloned from, without credentials; empty if
	// it is meaningless on other machines.
	source string
	// revision is the revision of the commit that is checked out, as Flux
	// writes it. If files differ from the commit, it is marked as dirty.
	revision string
	// created is the time of the commit; zero if files differ from it.
	created time.Time
	// differing lists the files that differ from the commit.
	differing []string
}

// provenance returns an empty description if there is no commit, or if it does
// not contain the directory.
func (c *checkout) provenance() (p provenance, err error) {
	if _, err := c.git("rev-parse", "--quiet", "--verify", "HEAD"); isExit(err) {
		return p, nil
	}
	commit, err := c.git("log", "-1", "--format=%H %cI")
	if err != nil {
		return p, err
	}
	if kind, err := c.git("cat-file", "-t", "HEAD:./"); err != nil || kind != "tree" {
		return p, c.ctx.Err()
	}
	hash, date, _ := strings.Cut(commit, " ")
	if p.created, err = time.Parse(time.RFC3339, date); err != nil {
		return p, err
	}
	if p.revision, err = c.revision(hash); err != nil {
		return p, err
	}
	if p.differing, err = c.differing(); err != nil {
		return p, err
	}
	if len(p.differing) > 0 {
		p.revision, p.created = p.revision+"-dirty", time.Time{}
	}
	remote, err := c.git("config", "--get", "remote.origin.url")
	if isExit(err) {
		err = nil // There is no such remote.
	}
	p.source = publicURL(remote)
	return p, err
}

// isExit reports whether git has answered no by its exit status alone.
func isExit(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit)
}

// revision names the commit by the branch that is checked out. Without a
// branch, as in CI, it uses the tag of the commit if there is exactly one.
func (c *checkout) revision(hash string) (string, error) {
	algorithm := "sha1"
	if len(hash) == 64 {
		algorithm = "sha256"
	}
	name, err := c.git("symbolic-ref", "--quiet", "--short", "HEAD")
	if isExit(err) {
		name, err = c.git("tag", "--points-at", "HEAD")
	}
	if err != nil || name == "" || strings.Contains(name, "\n") {
		return algorithm + ":" + hash, err
	}
	return name + "@" + algorithm + ":" + hash, nil
}

// differing lists what git status does for the directory, relative to it.
func (c *checkout) differing() ([]string, error) {
	prefix, err := c.git("rev-parse", "--show-prefix")
	if err != nil {
		return nil, err
	}
	status, err := c.git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none", "--", ".")
	var names []string
	for line := range strings.SplitSeq(status, "\x00") {
		if len(line) > len("XY ") {
			names = append(names, strings.TrimPrefix(line[len("XY "):], prefix))
		}
	}
	slices.Sort(names)
	return names, err
}

// files returns the files that Git does not ignore, and the directories that
// contain them, relative to the directory. The others may be secrets, so it is
// an error if git cannot tell. Git does not ignore files that it tracks.
func (c *checkout) files() (map[string]bool, error) {
	names := map[string]bool{".": true}
	return names, c.addFiles(names, ".")
}

func (c *checkout) addFiles(names map[string]bool, within string) error {
	list, err := c.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("git checkout of %s: git is not installed, and without it the files that Git ignores, which may be secrets, are not known; install git (the container image has none), or push a copy of what is committed, made elsewhere by git archive HEAD | tar -x -C DIR", message.Printable(c.directory))
	}
	if err != nil {
		return fmt.Errorf("git checkout of %s: the files that it ignores, which may be secrets, are not known: %w; make git work there, or push a copy of the files outside of the checkout", message.Printable(c.directory), err)
	}
	for name := range strings.SplitSeq(list, "\x00") {
		if name == "" {
			continue
		}
		here := filepath.Join(c.directory, filepath.FromSlash(name))
		for name = path.Join(within, name); !names[name]; name = path.Dir(name) {
			names[name] = true
		}
		// Git does not look into the checkouts within a checkout, such as
		// submodules.
		if info, err := os.Lstat(here); err == nil && info.IsDir() && exists(filepath.Join(here, ".git")) {
			if err := (&checkout{c.ctx, here}).addFiles(names, path.Join(within, strings.TrimPrefix(here, c.directory))); err != nil {
				return err
			}
		}
	}
	return nil
}

// scpRemote matches Git's short form of ssh://, in which the user is optional.
var scpRemote = regexp.MustCompile(`^(?:([^/@:]+)@)?([^/@:]+:[^@]*)$`)

// publicURL removes private parts from a remote's URL. It returns an empty
// string for a local path.
func publicURL(remote string) string {
	if !strings.Contains(remote, "://") {
		short := scpRemote.FindStringSubmatch(remote)
		switch {
		case short == nil:
			return ""
		case sources.IsSSHUser(short[1]):
			return remote
		}
		return short[2]
	}
	u, err := url.Parse(remote)
	if err != nil || u.Scheme == "file" {
		return ""
	}
	public := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.Scheme == "ssh" && sources.IsSSHUser(u.User.Username()) {
		public.User = url.User(u.User.Username())
	}
	return public.String()
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}
