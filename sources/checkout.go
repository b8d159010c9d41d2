package sources

import (
	"errors"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// checkout is what the Git checkout that a directory stands in tells of it.
type checkout struct {
	// source is where it was cloned from, without credentials; empty where that
	// means nothing on another machine.
	source string
	// revision is as Flux writes it, of the commit that is checked out.
	revision string
	// created is when that was committed.
	created time.Time
	// differ are the files that are not as in the commit.
	differing []string
}

// readCheckout looks from the directory upward. It is nil where there is no
// checkout, or one whose commit knows nothing of the directory. The tree is what
// was read from it, with its links.
func readCheckout(directory string, t *tree) (*checkout, error) {
	directory, err := filepath.EvalSymlinks(directory) // As Git does: what is above a link is not above the directory.
	if err != nil {
		return nil, err
	}
	repository, err := openCheckout(directory, true)
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	head, err := repository.Head()
	if errors.Is(err, plumbing.ErrReferenceNotFound) { // Nothing is committed yet.
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

// openCheckout opens the repository of a working copy, or of one that the
// directory lies in.
func openCheckout(directory string, above bool) (*git.Repository, error) {
	repository, err := git.PlainOpenWithOptions(directory, &git.PlainOpenOptions{DetectDotGit: above, EnableDotGitCommonDir: true})
	if err != nil {
		return nil, err
	}
	worktree, err := repository.Worktree()
	storage, ok := repository.Storer.(*filesystem.Storage)
	if err != nil || !ok {
		return repository, err
	}
	// Else objects that it borrows from another repository are not found.
	options := filesystem.Options{AlternatesFS: osfs.New("/")}
	return git.Open(filesystem.NewStorageWithOptions(storage.Filesystem(), cache.NewObjectLRUDefault(), options), worktree.Filesystem)
}

// committedTree is what the commit has in place of the directory; nil for nothing.
func committedTree(repository *git.Repository, commit *gitobject.Commit, directory string) (*gitobject.Tree, error) {
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

// checkedOut names the revision by the branch that is checked out. Without one,
// as CI has it, it is named by the tag that points there, if that is just one.
func headRevision(repository *git.Repository, head *plumbing.Reference) (string, error) {
	if head.Name().IsBranch() {
		return remoteRef{ref: head.Name().String(), commit: head.Hash()}.revision(), nil
	}
	tags, err := tagsAt(repository, head.Hash())
	if err != nil {
		return "", err
	}
	if len(tags) == 1 {
		return remoteRef{ref: tagPrefix + tags[0], commit: head.Hash()}.revision(), nil
	}
	return "sha1:" + head.Hash().String(), nil
}

func tagsAt(repository *git.Repository, commit plumbing.Hash) ([]string, error) {
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

func origin(repository *git.Repository) (string, error) {
	remote, err := repository.Remote(git.DefaultRemoteName)
	if errors.Is(err, git.ErrRemoteNotFound) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	return publicURL(remote.Config().URLs[0]), nil
}

// scpRemote is Git's short form of ssh://, where the user may be left out.
var scpRemote = regexp.MustCompile(`^(?:([^/@:]+)@)?([^/@:]+:[^@]*)$`)

// publicURL takes from a remote's URL what is nobody else's business. A path on
// this machine is empty.
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

// vouch is what the commit's name and time are for the tree. They are its own
// only where nothing differs: a tree that was changed after has a time that
// nobody knows.
func (c *checkout) provenance() (revision string, created time.Time) {
	if len(c.differing) > 0 {
		return c.revision + "-dirty", time.Time{}
	}
	return c.revision, c.created
}
