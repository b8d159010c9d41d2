package sources

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// builder builds a tree from entries in any order, such as the entries of an
// archive. Their names have been checked by entryName.
type builder struct {
	budget budget
	// unpacked is the number of bytes that may still be unpacked, and entries
	// the number of entries that may still be read, whether kept or not.
	unpacked int64
	entries  int
	// within is the directory that becomes the root; empty for the whole tree.
	// Entries elsewhere are left out.
	within string
	// found is true if there is such a directory.
	found bool
	// last is a tree whose memory unchanged files share.
	last *tree
	// directories are keyed by their path below within; the root is ".".
	directories map[string]*dirBuilder
	buffer      []byte
}

// dirBuilder is a directory that is being built.
type dirBuilder struct {
	name, path string
	// children that are directories have incomplete nodes until the tree is
	// built.
	children map[string]*node
	// folded maps the folded names of the children to their names.
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

// relative returns the path below within, and whether the name is within it.
func (b *builder) relative(name string) (string, bool) {
	if b.within == "" || name == b.within {
		b.found = true
		return path.Clean(strings.TrimPrefix(name, b.within)), true
	}
	rest, ok := strings.CutPrefix(name, b.within+"/")
	b.found = b.found || ok
	return rest, ok
}

// addDirectory adds a directory, which may exist already, because several
// layers may contain it. Directories of .git are left out: a checkout has them,
// but a tree does not.
func (b *builder) addDirectory(name string) error {
	name, ok := b.relative(name)
	if !ok || inGit(name) {
		return nil
	}
	_, err := b.directory(name)
	return err
}

// addFile adds a regular file and reads its content.
func (b *builder) addFile(name string, mode fs.FileMode, size int64, content io.Reader) error {
	return b.add(name, func(name string) (*node, error) {
		if err := b.budget.file(name, size); err != nil {
			return nil, err
		}
		data, err := b.content(name, size, content)
		return newFileNode(name, mode&0o111 != 0, data), err
	})
}

// addLink adds a symbolic link with any target. A target outside of the tree is
// an error only when the link is opened.
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

// content returns the file's content in a new slice, or the last tree's slice
// if the content is the same.
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

// directory returns the directory at that path and creates it, and those above
// it, if necessary.
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

// enter refuses a second entry with the same name, or with a name that is the
// same on some file systems.
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

// inGit reports whether a path is in a .git directory.
func inGit(name string) bool {
	return name == ".git" || strings.HasPrefix(name, ".git/") || strings.Contains(name, "/.git/") || strings.HasSuffix(name, "/.git")
}

// tree returns the finished tree.
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
				continue // Git has no empty directories, so they are left out.
			}
		}
		children = append(children, child)
	}
	return newDirectoryNode(d.name, d.path, children)
}
