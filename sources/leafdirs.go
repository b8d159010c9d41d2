package sources

import (
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
)

// A commit touches one directory of many, and a fleet has thousands of files in a few. So a
// directory that has no others in it, a folder, is not read again while Git says by its
// hash that it is the same, and its node is the same to whoever compares trees.

// folders are those of a commit.
type leafDirs map[leafDirKey]leafDir

// folderKey has the path, because limits are about that too.
type leafDirKey struct {
	path string
	hash plumbing.Hash
}

type leafDir struct {
	node    *node
	objects []plumbing.Hash // its own and those of what is in it
	files   int
	bytes   int64
}

// keep remembers a directory that was read, if it is a folder. before is what the budget was
// when that began.
func (r *commitReader) remember(path string, hash plumbing.Hash, n *node, listing *gitobject.Tree, before budget) {
	if r.suspect != "" {
		return // something may be missing
	}
	f := leafDir{node: n, objects: []plumbing.Hash{hash}, files: r.budget.files - before.files, bytes: r.budget.bytes - before.bytes}
	for _, entry := range listing.Entries {
		switch entry.Mode {
		case filemode.Dir:
			return
		case filemode.Submodule: // of which there is no object
		default:
			f.objects = append(f.objects, entry.Hash)
		}
	}
	r.leafDirs[leafDirKey{path, hash}] = f
}

// again is a folder that is as it was in the commit before; nil where there is none.
func (r *commitReader) reuse(path string, hash plumbing.Hash) (*node, error) {
	f, known := r.known[leafDirKey{path, hash}]
	if !known {
		return nil, nil
	}
	for _, h := range f.objects {
		r.used[h] = r.have[h]
	}
	r.leafDirs[leafDirKey{path, hash}] = f
	return f.node, r.budget.addExisting(path, f.files, f.bytes)
}
