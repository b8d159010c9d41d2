package push

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// flatten returns the tree with each symbolic link replaced by a copy of its
// target. Flux silently drops links from archives, and what is missing from a
// rendering is deleted. A file that cannot be read is refused even if nothing
// uses it. One that cannot be used because of its size or name stays so.
func flatten(ctx context.Context, t *tree.Tree, limits tree.Limits) (*tree.Tree, error) {
	f := &flattener{ctx: ctx, from: t, to: tree.NewBuilder(limits, "", t)}
	if len(t.Root.Children) == 0 {
		return nil, tree.NewFault("", "contains no files; name the directory that contains fleet.yaml")
	}
	if err := f.directory("", t.Root); err != nil {
		return nil, err
	}
	return f.to.Tree()
}

type flattener struct {
	ctx  context.Context
	from *tree.Tree
	// to refuses the same entries as the reader of artifacts.
	to *tree.Builder
	// ancestors are the directories from the root to the current one, as they
	// were read.
	ancestors []*tree.Node
}

func (f *flattener) directory(name string, n *tree.Node) error {
	f.ancestors = append(f.ancestors, n)
	defer func() { f.ancestors = f.ancestors[:len(f.ancestors)-1] }()
	for _, child := range n.Children {
		if err := f.entry(path.Join(name, child.Base), child); err != nil {
			return err
		}
	}
	return f.ctx.Err()
}

func (f *flattener) entry(name string, n *tree.Node) error {
	switch {
	case tree.IsLocal(n.Fault()):
		return f.to.AddUnusable(name, n.Mode, n.Err)
	case strings.HasSuffix(name, ".."): // Flux rejects ../ anywhere in a path.
		return f.to.AddUnusable(name, n.Mode, tree.NewLocalFault(name, "its name ends in .., and Flux does not read artifacts that have such a directory; rename it"))
	}
	if n.IsLink() {
		target, err := f.follow(name, n)
		if tree.IsLocal(err) { // It leads through a directory that cannot be used.
			return f.to.AddUnusable(name, 0, err)
		} else if err != nil {
			return err
		}
		n = target
	}
	switch {
	case tree.IsLocal(n.Fault()):
		return f.to.AddUnusable(name, n.Mode, n.Err)
	case n.Fault() != nil:
		return n.Fault()
	case !n.IsDir():
		return f.to.AddFile(name, n.Mode, int64(len(n.Data)), bytes.NewReader(n.Data))
	}
	if err := f.to.AddDirectory(name); err != nil {
		return err
	}
	return f.directory(name, n)
}

func (f *flattener) follow(name string, link *tree.Node) (*tree.Node, error) {
	target, err := f.from.Lookup("push", name, true)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, tree.NewFault(name, "symbolic link to %s leads to nothing; remove it", message.Printable(string(link.Data)))
	case err == nil && slices.Contains(f.ancestors, target):
		return nil, tree.NewFault(name, "symbolic link to %s leads to a directory that contains it; remove it", message.Printable(string(link.Data)))
	}
	return target, err
}
