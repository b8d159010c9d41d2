package sources

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// differences returns the sorted names of the files of a directory's tree that
// differ from the committed tree. It compares content hashes. Unlike git
// status, it does not rely on file times and includes ignored files, because
// these are pushed too.
func differences(directory string, t *tree.Tree, committed *gitobject.Tree) ([]string, error) {
	d := differ{directory: directory}
	err := d.compare(".", t.Root, committed)
	slices.Sort(d.names)
	return d.names, err
}

type differ struct {
	directory string
	names     []string
}

func (d *differ) add(name string) { d.names = append(d.names, name) }

func (d *differ) compare(name string, n *tree.Node, committed *gitobject.Tree) error {
	known := map[string]bool{}
	for _, entry := range committed.Entries {
		known[entry.Name] = true
		if err := d.entry(path.Join(name, entry.Name), n.Child(entry.Name), entry, committed); err != nil {
			return err
		}
	}
	for _, child := range n.Children {
		if !known[child.Base] {
			d.add(path.Join(name, child.Base))
		}
	}
	return nil
}

func (d *differ) entry(name string, n *tree.Node, entry gitobject.TreeEntry, in *gitobject.Tree) error {
	switch {
	case entry.Mode == filemode.Submodule:
		return d.submodule(name, n, entry.Hash)
	case n == nil || n.Mode.Type() != entryType(entry.Mode):
		d.add(name)
		return nil
	case n.IsDir():
		committed, err := in.Tree(entry.Name)
		if err != nil {
			return err
		}
		return d.compare(name, n, committed)
	case (n.Mode == tree.ModeExecutable) != (entry.Mode == filemode.Executable):
		d.add(name)
	case plumbing.ComputeHash(plumbing.BlobObject, n.Data) != entry.Hash && !isLFSContent(n.Data, entry, in):
		d.add(name)
	}
	return nil
}

// submodule compares a submodule with the commit that is recorded for it. A
// submodule that was not checked out, as in most clones, is not a difference.
func (d *differ) submodule(name string, n *tree.Node, commit plumbing.Hash) error {
	if n == nil {
		return nil
	}
	committed, err := submoduleTree(filepath.Join(d.directory, filepath.FromSlash(name)), commit)
	if err != nil || !n.IsDir() {
		d.add(name)
		return nil
	}
	return d.compare(name, n, committed)
}

func submoduleTree(directory string, hash plumbing.Hash) (*gitobject.Tree, error) {
	repository, err := openCheckout(directory, false)
	if err != nil {
		return nil, err
	}
	commit, err := repository.CommitObject(hash)
	if err != nil {
		return nil, err
	}
	return commit.Tree()
}

// isLFSContent reports whether content is the file that a committed LFS pointer
// stands for.
func isLFSContent(content []byte, entry gitobject.TreeEntry, in *gitobject.Tree) bool {
	file, err := in.TreeEntryFile(&entry)
	if err != nil || file.Size >= 1024 {
		return false
	}
	pointer, err := file.Contents()
	sum := sha256.Sum256(content)
	return err == nil && tree.IsLFSPointer([]byte(pointer)) &&
		strings.Contains(pointer, "\noid sha256:"+hex.EncodeToString(sum[:])+"\n")
}

func entryType(mode filemode.FileMode) fs.FileMode {
	switch mode {
	case filemode.Dir:
		return fs.ModeDir
	case filemode.Symlink:
		return fs.ModeSymlink
	}
	return 0
}
