package sources

import (
	"errors"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/tributary-gitops/tributary/sources/git"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// checkout describes the Git checkout that contains a directory.
type checkout struct {
	// source is the URL that it was cloned from, without credentials; empty if
	// it is meaningless on other machines.
	source string
	// revision is the revision of the commit that is checked out, as Flux
	// writes it.
	revision string
	// created is the time of the commit.
	created time.Time
	// differing lists the files that differ from the commit.
	differing []string
}

// readCheckout looks for a checkout in the directory and its parents. It
// returns nil if there is none, or if its commit does not contain the
// directory. t is the tree that was read from the directory, with its links.
func readCheckout(directory string, t *tree.Tree) (*checkout, error) {
	directory, err := filepath.EvalSymlinks(directory) // As in Git, the parents of a link are not the parents of its target.
	if err != nil {
		return nil, err
	}
	repository, err := openCheckout(directory, true)
	if errors.Is(err, gogit.ErrRepositoryNotExists) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	head, err := repository.Head()
	if errors.Is(err, plumbing.ErrReferenceNotFound) { // There is no commit yet.
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	commit, err := repository.CommitObject(head.Hash())
	if err != nil {
		return nil, err
	}
	committed, err := committedTree(repository, commit, directory)
	if err != nil || committed == nil {
		return nil, err
	}
	c := &checkout{created: commit.Committer.When}
	if c.source, err = origin(repository); err != nil {
		return nil, err
	}
	if c.revision, err = headRevision(repository, head); err != nil {
		return nil, err
	}
	c.differing, err = differences(directory, t, committed)
	return c, err
}

// openCheckout opens the repository of a working copy, or of one that contains
// the directory.
func openCheckout(directory string, above bool) (*gogit.Repository, error) {
	repository, err := gogit.PlainOpenWithOptions(directory, &gogit.PlainOpenOptions{DetectDotGit: above, EnableDotGitCommonDir: true})
	if err != nil {
		return nil, err
	}
	worktree, err := repository.Worktree()
	storage, ok := repository.Storer.(*filesystem.Storage)
	if err != nil || !ok {
		return repository, err
	}
	// Without this, objects that are borrowed from another repository are not
	// found.
	options := filesystem.Options{AlternatesFS: osfs.New("/")}
	return gogit.Open(filesystem.NewStorageWithOptions(storage.Filesystem(), cache.NewObjectLRUDefault(), options), worktree.Filesystem)
}

// committedTree returns the directory's tree in the commit; nil if there is
// none.
func committedTree(repository *gogit.Repository, commit *gitobject.Commit, directory string) (*gitobject.Tree, error) {
	root, err := commit.Tree()
	if err != nil {
		return nil, err
	}
	worktree, err := repository.Worktree()
	if err != nil {
		return nil, err
	}
	name, err := filepath.Rel(worktree.Filesystem.Root(), directory)
	if err != nil || name == "." {
		return root, err
	}
	tree, err := root.Tree(filepath.ToSlash(name))
	if errors.Is(err, gitobject.ErrDirectoryNotFound) {
		return nil, nil
	}
	return tree, err
}

// headRevision names the revision by the branch that is checked out. Without a
// branch, as in CI, it uses the tag of the commit if there is exactly one.
func headRevision(repository *gogit.Repository, head *plumbing.Reference) (string, error) {
	if head.Name().IsBranch() {
		return git.Revision(head.Name().String(), head.Hash()), nil
	}
	tags, err := tagsAt(repository, head.Hash())
	if err != nil {
		return "", err
	}
	if len(tags) == 1 {
		return git.Revision(plumbing.NewTagReferenceName(tags[0]).String(), head.Hash()), nil
	}
	return git.Revision("", head.Hash()), nil
}

func tagsAt(repository *gogit.Repository, commit plumbing.Hash) ([]string, error) {
	refs, err := repository.Tags()
	if err != nil {
		return nil, err
	}
	var tags []string
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		at := ref.Hash()
		if tag, err := repository.TagObject(at); err == nil {
			at = tag.Target
		}
		if at == commit {
			tags = append(tags, ref.Name().Short())
		}
		return nil
	})
	return tags, err
}

func origin(repository *gogit.Repository) (string, error) {
	remote, err := repository.Remote(gogit.DefaultRemoteName)
	if errors.Is(err, gogit.ErrRemoteNotFound) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	return publicURL(remote.Config().URLs[0]), nil
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
		case sshUser.MatchString(short[1]):
			return remote
		}
		return short[2]
	}
	u, err := url.Parse(remote)
	if err != nil || u.Scheme == "file" {
		return ""
	}
	public := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.Scheme == "ssh" && sshUser.MatchString(u.User.Username()) {
		public.User = url.User(u.User.Username())
	}
	return public.String()
}

// provenance returns the revision and time to record for the tree. If files
// differ from the commit, the revision is marked as dirty and the time is
// unknown.
func (c *checkout) provenance() (revision string, created time.Time) {
	if len(c.differing) > 0 {
		return c.revision + "-dirty", time.Time{}
	}
	return c.revision, c.created
}
