package sources

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// builder makes a tree of entries that come in any order, as those of archives
// do. What it is given has gone through entryName.
type builder struct {
	budget budget
	// unpacked is how many bytes may come out of archives yet, and entries how
	// many files, kept or not.
	unpacked int64
	entries  int
	// within is the directory that becomes the root; empty for all of it. What
	// lies elsewhere is left out.
	within string
	// found tells whether there is such a directory.
	found bool
	// last is a tree to share the bytes of unchanged files with.
	last *tree
	// directories are by their path below within; the root is ".".
	directories map[string]*dirBuilder
	buffer      []byte
}

// branch is a directory in the making.
type dirBuilder struct {
	name, path string
	// children that are directories have nodes without children, for now.
	children map[string]*node
	// folded finds the children by what fold makes of their names.
	folded map[string]string
}

func newBuilder(limits Limits, within string, last *tree) *builder {
	if last == nil {
		last = &tree{&node{}}
	}
	b := &builder{
		budget: budget{limits: limits}, unpacked: maxUnpacked(limits), entries: maxEntries(limits),
		within: within, found: within == "", last: last,
	}
	b.directories = map[string]*dirBuilder{".": newDirBuilder(".", "")}
	return b
}

func newDirBuilder(name, path string) *dirBuilder {
	return &dirBuilder{name: name, path: path, children: map[string]*node{}, folded: map[string]string{}}
}

// relative is the path below within, and whether it lies there at all.
func (b *builder) relative(name string) (string, bool) {
	if b.within == "" || name == b.within {
		b.found = true
		return path.Clean(strings.TrimPrefix(name, b.within)), true
	}
	rest, ok := strings.CutPrefix(name, b.within+"/")
	b.found = b.found || ok
	return rest, ok
}

// addDirectory takes a directory any number of times, since several layers may
// have it. Those of .git are left out, as a checkout has them and no tree does.
func (b *builder) addDirectory(name string) error {
	name, ok := b.relative(name)
	if !ok || inGit(name) {
		return nil
	}
	_, err := b.directory(name)
	return err
}

// addFile reads the content of a regular file.
func (b *builder) addFile(name string, mode fs.FileMode, size int64, content io.Reader) error {
	return b.add(name, func(name string) (*node, error) {
		if err := b.budget.file(name, size); err != nil {
			return nil, err
		}
		data, err := b.content(name, size, content)
		return newFileNode(name, mode&0o111 != 0, data), err
	})
}

// addLink takes any target: one that leads out hurts nobody before it is opened.
func (b *builder) addLink(name, target string) error {
	return b.add(name, func(name string) (*node, error) {
		return &node{name: path.Base(name), mode: modeLink, data: []byte(target)}, b.budget.link(name, int64(len(target)))
	})
}

func (b *builder) add(name string, read func(name string) (*node, error)) error {
	if b.within != "" && (name == b.within || strings.HasPrefix(b.within, name+"/")) {
		return wrongPath(name, "is a file or a symbolic link, not a directory; name the directory itself")
	}
	name, ok := b.relative(name)
	if !ok || inGit(name) {
		return nil
	}
	parent, err := b.directory(path.Dir(name))
	if err != nil {
		return err
	}
	if err := b.enter(parent, path.Base(name)); err != nil {
		return err
	}
	n, err := read(name)
	if err != nil {
		return err
	}
	parent.children[n.name] = n
	return nil
}

// content is of a slice of its own, or the one that the last tree has.
func (b *builder) content(name string, size int64, content io.Reader) ([]byte, error) {
	if int64(cap(b.buffer)) < size {
		b.buffer = make([]byte, size)
	}
	data := b.buffer[:size]
	if _, err := io.ReadFull(content, data); err != nil {
		return nil, err
	}
	if last, err := b.last.findLink("read", name); err == nil && last.mode.IsRegular() && bytes.Equal(last.data, data) {
		return last.data, nil
	}
	return bytes.Clone(data), nil
}

// directory is the one at that path, made with those above it if need be.
func (b *builder) directory(name string) (*dirBuilder, error) {
	if d, ok := b.directories[name]; ok {
		return d, nil
	}
	parent, err := b.directory(path.Dir(name))
	if err != nil {
		return nil, err
	}
	base := path.Base(name)
	if err := b.enter(parent, base); err != nil {
		return nil, err
	}
	parent.children[base] = &node{name: base, mode: modeDirectory}
	d := newDirBuilder(base, name)
	b.directories[name] = d
	return d, nil
}

// enter refuses a second entry of one name, and one of a name that other
// machines take for the same.
func (b *builder) enter(parent *dirBuilder, base string) error {
	name := path.Join(parent.path, base)
	if there, ok := parent.children[base]; ok {
		return &fault{name, "is in the artifact twice" + describeKind(there) + "; create it again with only one of them"}
	}
	key := fold(base)
	if other, ok := parent.folded[key]; ok {
		return &fault{name, fmt.Sprintf("has the same name as %s on file systems that ignore case or Unicode form; rename one of them", printable(path.Join(parent.path, other)))}
	}
	if _, err := b.budget.enter(parent.path, base); err != nil {
		return err
	}
	parent.folded[key] = base
	return nil
}

func describeKind(there *node) string {
	switch {
	case there.isLink():
		return ", once as a symbolic link"
	case there.IsDir():
		return ", once as a directory"
	}
	return ""
}

// inGit tells what a checkout has beside its files.
func inGit(name string) bool {
	return name == ".git" || strings.HasPrefix(name, ".git/") || strings.Contains(name, "/.git/") || strings.HasSuffix(name, "/.git")
}

// tree ends the work.
func (b *builder) tree() (*tree, error) {
	if !b.found {
		return nil, wrongPath(b.within, "is not in the artifact; name a directory that is")
	}
	root, err := b.node(b.directories["."])
	if err != nil {
		return nil, err
	}
	return &tree{root}, nil
}

func (b *builder) node(d *dirBuilder) (*node, error) {
	children := make([]*node, 0, len(d.children))
	for base, child := range d.children {
		if child.IsDir() {
			var err error
			if child, err = b.node(b.directories[path.Join(d.path, base)]); err != nil {
				return nil, err
			}
			if len(child.children) == 0 {
				continue // Git has no empty directories, so none are kept.
			}
		}
		children = append(children, child)
	}
	return newDirectoryNode(d.name, d.path, children)
}
