package git

import (
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// A commit usually changes one directory of many, and most files of a fleet are
// in directories without subdirectories. Such a leaf directory is not read
// again while its Git hash stays the same. It also keeps its node, so that
// comparing trees is cheap.

// leafDirs are the leaf directories of a commit.
type leafDirs map[leafDirKey]leafDir

// leafDirKey includes the path, because the limits apply to paths too.
type leafDirKey struct {
	path string
	hash plumbing.Hash
}

type leafDir struct {
	node    *tree.Node
	objects []plumbing.Hash // of the directory and its entries
	files   int
	bytes   int64
}

// remember stores a directory that was read, if it is a leaf directory. before
// is the budget from before it was read.
func (r *commitReader) remember(path string, hash plumbing.Hash, n *tree.Node, listing *gitobject.Tree, before tree.Budget) {
	f := leafDir{node: n, objects: []plumbing.Hash{hash}, files: r.budget.Files - before.Files, bytes: r.budget.Bytes - before.Bytes}
	for _, entry := range listing.Entries {
		switch entry.Mode {
		case filemode.Dir:
			return
		case filemode.Submodule: // A submodule has no object.
		default:
			f.objects = append(f.objects, entry.Hash)
		}
	}
	r.leafDirs[leafDirKey{path, hash}] = f
}

// reuse returns a leaf directory that is unchanged since the previous commit;
// nil if there is none.
func (r *commitReader) reuse(path string, hash plumbing.Hash) (*tree.Node, error) {
	f, known := r.known[leafDirKey{path, hash}]
	if !known {
		return nil, nil
	}
	for _, h := range f.objects {
		o, ok := r.have[h]
		if r.complete = r.complete && ok; ok {
			r.used[h] = o
		}
	}
	r.leafDirs[leafDirKey{path, hash}] = f
	return f.node, r.budget.AddExisting(path, f.files, f.bytes)
}
