package sources

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// flatten returns the tree with each symbolic link replaced by a copy of its
// target. Flux silently drops links from archives, and what is missing from a
// rendering is deleted. A file that cannot be read is refused even if nothing
// uses it, because no error could be reported later.
func flatten(ctx context.Context, t *tree, limits Limits) (*tree, error) {
	f := &flattener{ctx: ctx, from: t, to: newBuilder(limits, "", t)}
	if len(t.root.children) == 0 {
		return nil, &fault{"", "contains no files; name the directory that contains fleet.yaml"}
	}
	if err := f.directory("", t.root); err != nil {
		return nil, err
	}
	return f.to.tree()
}

type flattener struct {
	ctx  context.Context
	from *tree
	// to refuses the same entries as the reader of artifacts.
	to *builder
	// ancestors are the directories from the root to the current one, as they
	// were read.
	ancestors []*node
}

func (f *flattener) directory(name string, n *node) error {
	f.ancestors = append(f.ancestors, n)
	defer func() { f.ancestors = f.ancestors[:len(f.ancestors)-1] }()
	for _, child := range n.children {
		if err := f.entry(path.Join(name, child.name), child); err != nil {
			return err
		}
	}
	return f.ctx.Err()
}

func (f *flattener) entry(name string, n *node) error {
	if err := f.checkName(name); err != nil {
		return err
	}
	if n.isLink() {
		var err error
		if n, err = f.follow(name, n); err != nil {
			return err
		}
	}
	switch {
	case n.err != nil && !isLFSPointer(n.data): // A pointer stays a pointer and is refused where it is used.
		return n.err
	case !n.IsDir():
		return f.to.addFile(name, n.mode, int64(len(n.data)), bytes.NewReader(n.data))
	}
	if err := f.to.addDirectory(name); err != nil {
		return err
	}
	return f.directory(name, n)
}

func (f *flattener) follow(name string, link *node) (*node, error) {
	target, err := f.from.walk("push", name, true)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &fault{name, "symbolic link to " + printable(string(link.data)) + " leads to nothing; remove it"}
	case err == nil && slices.Contains(f.ancestors, target):
		return nil, &fault{name, "symbolic link to " + printable(string(link.data)) + " leads to a directory that contains it; remove it"}
	}
	return target, err
}

// checkName also refuses names that Flux refuses: it rejects ../ anywhere in a
// path.
func (f *flattener) checkName(name string) error {
	if _, err := entryName(name, f.to.budget.limits); err != nil {
		return err
	}
	if strings.HasSuffix(name, "..") {
		return &fault{name, "its name ends in .., and Flux does not read artifacts that have such a directory; rename it"}
	}
	return nil
}
