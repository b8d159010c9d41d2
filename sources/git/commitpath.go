package git

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// descend returns the tree at a path below a commit's tree. It reads only the
// trees on the way.
func (r *commitReader) descend(tree plumbing.Hash, to string) (plumbing.Hash, error) {
	if to == "" {
		return tree, nil
	}
	at := ""
	for name := range strings.SplitSeq(to, "/") {
		listing, err := r.intermediateTree(at, tree)
		if err != nil {
			return tree, err
		}
		at = path.Join(at, name)
		if tree, err = directoryEntry(listing, at); err != nil {
			return tree, err
		}
	}
	return tree, nil
}

func (r *commitReader) intermediateTree(name string, hash plumbing.Hash) (*gitobject.Tree, error) {
	name = cmp.Or(name, ".")
	if _, ok := r.size(hash); !ok {
		if err := r.missing(name, hash); err != nil {
			return nil, err
		}
		return nil, tree.TooLarge(name, r.budget.Limits)
	}
	return r.listing(name, hash)
}

// directoryEntry returns the tree at a path whose last element should be in the
// listing. Symbolic links are not followed, as in Flux.
func directoryEntry(listing *gitobject.Tree, at string) (plumbing.Hash, error) {
	i := slices.IndexFunc(listing.Entries, func(e gitobject.TreeEntry) bool { return e.Name == path.Base(at) })
	if i < 0 {
		return plumbing.ZeroHash, tree.WrongPath(at, fmt.Sprintf("is not in the repository, which has %s there", directories(listing)))
	}
	switch entry := listing.Entries[i]; entry.Mode {
	case filemode.Dir:
		return entry.Hash, nil
	case filemode.Submodule:
		return entry.Hash, tree.WrongPath(at, "is a submodule, and submodules are not read; name its own repository as the SOURCE")
	case filemode.Symlink:
		return entry.Hash, tree.WrongPath(at, "is a symbolic link; name the directory itself")
	default:
		return entry.Hash, tree.WrongPath(at, "is a file; name the directory that contains fleet.yaml")
	}
}

func directories(listing *gitobject.Tree) string {
	var names []string
	for _, entry := range listing.Entries {
		if entry.Mode == filemode.Dir {
			names = append(names, entry.Name)
		}
	}
	return message.Summarize("directory", "directories", names)
}
