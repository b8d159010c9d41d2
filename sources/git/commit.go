package git

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// readCommit reads a commit's tree from the server. If have is not nil, the
// server does not send its objects again, and unchanged files share its memory.
func readCommit(ctx context.Context, remote *remote, at remoteRef, have *commit, o readOptions) (*commit, error) {
	want, err := remote.want(at, have, o)
	if err != nil {
		return nil, err
	}
	stream, err := remote.pack(ctx, want)
	if err != nil {
		return nil, explainPackError(at, err)
	}
	defer stream.close()
	r := &commitReader{ctx: ctx, budget: tree.Budget{Limits: o.limits}, used: objects{}, leafDirs: leafDirs{}, filtered: remote.supportsFilter(), complete: true}
	var previous *tree.Tree
	if have != nil {
		previous = have.tree
		r.have, r.known, r.used = have.objects, have.leafDirs, make(objects, len(have.objects))
	}
	if r.pack, err = readPack(ctx, stream, r.have, want.bounds); err != nil {
		return nil, err
	}
	defer r.pack.close()
	if _, ok := r.size(at.commit); !ok && want.history {
		return nil, commitNotFound(at)
	}
	root, err := r.root(at, o)
	if err != nil {
		return nil, err
	}
	kept, _ := tree.New(root).Ignore(previous, tree.IgnoreFile)
	return &commit{at.commit, kept, r.used, r.leafDirs, r.about, r.complete && o.path == ""}, nil
}

// readOptions say which part of a commit is read.
type readOptions struct {
	limits tree.Limits
	// path is the directory that becomes the root; empty for the whole tree.
	path string
	// verify checks signatures before anything of the tree is read.
	verify verifier
}

// commitReader builds a tree from a commit's objects.
type commitReader struct {
	ctx    context.Context
	budget tree.Budget
	pack   *pack
	have   objects
	// used collects the objects of the new commit.
	used objects
	// known are the leaf directories of the previous commit, and leafDirs those
	// of this one.
	known, leafDirs leafDirs
	// about is what the commit says of itself.
	about *fleet.Commit
	// filtered is true if the server leaves out files that are too large.
	filtered bool
	// complete is false if some of the commit's objects were not looked at.
	complete bool
}

func (r *commitReader) root(at remoteRef, o readOptions) (*tree.Node, error) {
	if err := r.peel(at, o.verify); err != nil {
		return nil, err
	}
	raw, err := r.object(at.commit, plumbing.CommitObject)
	if err != nil {
		return nil, err
	}
	if err := o.verify.commit(raw); err != nil {
		return nil, err
	}
	r.about = describe(raw)
	top, ok := treeOf(raw)
	if !ok {
		return nil, tree.NewFault("", "commit %s does not begin with its tree; create another commit", at.commit)
	}
	hash, err := r.descend(top, o.path)
	if err != nil {
		return nil, err
	}
	return r.directory(".", hash)
}

// treeOf returns the tree that the first line of a commit names. The rest is
// not needed, and go-git needs time quadratic in the length of a signature to
// parse it.
func treeOf(commit []byte) (plumbing.Hash, bool) {
	line, _, _ := bytes.Cut(commit, []byte("\n"))
	hash, ok := strings.CutPrefix(string(line), "tree ")
	return plumbing.NewHash(hash), ok && plumbing.IsHash(hash)
}

func (r *commitReader) directory(name string, hash plumbing.Hash) (*tree.Node, error) {
	if n, err := r.reuse(name, hash); n != nil || err != nil {
		return n, err
	}
	before := r.budget
	listing, err := r.listing(name, hash)
	if err != nil {
		return nil, err
	}
	children := make([]*tree.Node, 0, len(listing.Entries))
	for _, entry := range listing.Entries {
		child, err := r.entry(name, entry)
		if err != nil {
			return nil, err
		}
		if !child.IsEmpty() {
			children = append(children, child)
		}
	}
	n, err := tree.NewDirectory(path.Base(name), name, children)
	if err == nil {
		r.remember(name, hash, n, listing, before)
	}
	return n, err
}

func (r *commitReader) listing(name string, hash plumbing.Hash) (*gitobject.Tree, error) {
	size, ok := r.size(hash)
	switch {
	case !ok:
		return nil, r.missing(name)
	case size > r.pack.bounds.object:
		return nil, tree.TooManyFiles(r.budget.Limits)
	}
	data, err := r.object(hash, plumbing.TreeObject)
	if err != nil {
		return nil, err
	}
	listing := &gitobject.Tree{}
	if err := listing.Decode(encodedObject(plumbing.TreeObject, data)); err != nil {
		return nil, tree.NewFault(name, "%v; create another commit", err)
	}
	return listing, nil
}

func (r *commitReader) entry(directory string, entry gitobject.TreeEntry) (*tree.Node, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	n, err := r.usable(directory, entry)
	mode := fs.FileMode(0)
	if entry.Mode == filemode.Dir {
		mode = fs.ModeDir
	}
	if unusable := tree.Unusable(entry.Name, mode, err); unusable != nil {
		_, known := r.used[entry.Hash]
		r.complete = r.complete && known
		return unusable, nil
	}
	return n, err
}

func (r *commitReader) usable(directory string, entry gitobject.TreeEntry) (*tree.Node, error) {
	name, err := r.budget.Enter(directory, entry.Name)
	if err != nil {
		return nil, err
	}
	switch entry.Mode {
	case filemode.Dir:
		return r.directory(name, entry.Hash)
	case filemode.Submodule:
		message := fmt.Sprintf("is a submodule at commit %s, and submodules are not read; replace it with its files", entry.Hash)
		return &tree.Node{Base: entry.Name, Mode: tree.ModeSubmodule, Err: tree.NewFault(name, "%s", message)}, nil
	case filemode.Symlink:
		data, err := r.file(name, entry.Hash, r.budget.Link)
		return &tree.Node{Base: entry.Name, Mode: tree.ModeLink, Data: data}, err
	default:
		data, err := r.file(name, entry.Hash, r.budget.File)
		return tree.NewFile(name, entry.Mode == filemode.Executable, data), err
	}
}

// file returns the content of a file or link if allow accepts its size.
func (r *commitReader) file(name string, hash plumbing.Hash, allow func(name string, size int64) error) ([]byte, error) {
	var err error
	if size, ok := r.size(hash); ok {
		err = allow(name, size)
	} else {
		err = r.missing(name)
	}
	switch {
	case tree.IsLocal(err):
		r.used[hash] = object{kind: plumbing.BlobObject, tooLarge: true}
		return nil, err
	case err != nil:
		return nil, err
	}
	return r.object(hash, plumbing.BlobObject)
}

func (r *commitReader) size(hash plumbing.Hash) (int64, bool) {
	if o, ok := r.used[hash]; ok {
		return o.size(), true
	}
	if o, ok := r.have[hash]; ok {
		return o.size(), true
	}
	at, ok := r.pack.index[hash]
	return at.size, ok
}

// missing explains why an object is missing. Usually it is too large, so the
// server left it out, or a delta was skipped.
func (r *commitReader) missing(name string) error {
	// If only a part of the earlier commit is here, the server may assume that
	// the object is here already.
	if (r.filtered || r.pack.skipped) && !r.pack.bounds.partial {
		return tree.TooLarge(name, r.budget.Limits)
	}
	return fmt.Errorf("%w: %s is missing", errPack, message.Printable(name))
}

// object returns an object's content and keeps it for the next commit.
func (r *commitReader) object(hash plumbing.Hash, kind plumbing.ObjectType) ([]byte, error) {
	o, ok := r.used[hash]
	if !ok {
		o, ok = r.have[hash]
	}
	if !ok {
		at, ok := r.pack.index[hash]
		if !ok || at.offset < 0 {
			return nil, fmt.Errorf("%w: %s %s is missing", errPack, kind, hash)
		}
		data, err := r.pack.read(at)
		if err != nil {
			return nil, err
		}
		o = object{kind: at.kind, data: data}
	}
	if o.kind != kind {
		remedy := "rewrite the commit"
		if kind == plumbing.CommitObject {
			remedy = "point the ref to a commit"
		}
		return nil, tree.NewFault("", "object %s is a %s where a %s is needed; %s", hash, o.kind, kind, remedy)
	}
	r.used[hash] = o
	return o.data, nil
}

// encodedObject returns an object in the form that go-git decodes.
func encodedObject(kind plumbing.ObjectType, data []byte) plumbing.EncodedObject {
	encoded := &plumbing.MemoryObject{}
	encoded.SetType(kind)
	_, _ = encoded.Write(data) // Writing to memory does not fail.
	return encoded
}
