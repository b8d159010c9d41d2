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
func (r *commitReader) descend(hash plumbing.Hash, to string) (plumbing.Hash, error) {
	if to == "" {
		return hash, nil
	}
	at := ""
	for name := range strings.SplitSeq(to, "/") {
		listing, err := r.listing(cmp.Or(at, "."), hash)
		if err != nil {
			return hash, err
		}
		at = path.Join(at, name)
		if hash, err = directoryEntry(listing, at); err != nil {
			return hash, err
		}
	}
	return hash, nil
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
