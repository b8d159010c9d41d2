package kustomize

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// Limits on what kustomize reads. They are far beyond any honest fleet, and keep a
// hostile one from taking the memory of the process.
const (
	maxFile  = 16 << 20  // bytes of one file
	maxBuild = 128 << 20 // bytes that one build reads, repetitions included
	// maxObjects limits the objects that one build reads. kustomize needs time by the
	// square of it: ten seconds for 4,000, five minutes for 20,000.
	maxObjects = 4_000
	maxLinks   = 40 // symbolic links followed for one path, as on Linux
)

// Filesystem is all that kustomize can see: the tree, read-only, and the files that a
// build adds. It implements filesys.FileSystem. It is for one build.
type Filesystem struct {
	// Tree is read as kustomize asks for files.
	Tree fs.FS
	// IsValid reports whether the kustomization in a directory of the tree may be read.
	// kustomize acts on a kustomization only after it has read it here, so one that was
	// not vetted can do nothing.
	IsValid func(dir string) bool
	// Flattened returns what to give out instead of the kustomization in a directory; ""
	// for the kustomization as it is written. nil means "" for all.
	Flattened func(dir string) string

	readOnly
	dir           string            // where the build starts
	added         map[string][]byte // by absolute path
	read, objects int
	shape         yamltext.Shape
	refused       fleet.Problems
}

var (
	errReadOnly  = errors.New("a fleet repo is read-only")
	errDirectory = errors.New("is a directory")
)

// Refused returns the problems of files that kustomize was not given. The error of a
// build that fails because of them buries the reason.
func (f *Filesystem) Refused() fleet.Problems { return f.refused }

// real returns the path in the tree that an absolute path leads to when its links are
// followed.
func (f *Filesystem) real(name string) (string, error) {
	rest, found := strings.CutPrefix(path.Clean(name)+"/", repoRoot+"/")
	if !found {
		return "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return followLinks(f.Tree, strings.TrimSuffix(rest, "/"))
}

// followLinks resolves every symbolic link of a path. kustomize finds cycles by the names
// of directories, so each directory must have one name.
func followLinks(tree fs.FS, name string) (string, error) {
	done, todo := ".", strings.Split(path.Clean(name), "/")
	for links := 0; len(todo) > 0; {
		next := path.Join(done, todo[0])
		if next == ".." || strings.HasPrefix(next, "../") {
			return "", &fs.PathError{Op: "open", Path: name, Err: errors.New("leads out of the fleet repo")}
		}
		todo = todo[1:]
		info, err := fs.Lstat(tree, next)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		target, err := fs.ReadLink(tree, next)
		if err != nil {
			return "", err
		}
		if links++; links > maxLinks || path.IsAbs(target) {
			return "", &fs.PathError{Op: "open", Path: next, Err: fmt.Errorf("the symbolic link to %s leads out of the fleet repo, or back to itself", target)}
		}
		todo = append(strings.Split(path.Clean(target), "/"), todo...)
	}
	return done, nil
}

func (f *Filesystem) stat(name string) (dir bool, err error) {
	name = path.Clean(name)
	if _, ok := f.added[name]; ok {
		return false, nil
	}
	for added := range f.added {
		if path.Dir(added) == name {
			return true, nil
		}
	}
	inRepo, err := f.real(name)
	if err != nil {
		return false, err
	}
	info, err := fs.Stat(f.Tree, inRepo)
	return err == nil && info.IsDir(), err
}

// ReadFile returns a file if it is small enough and its aliases are harmless. A
// kustomization must have been vetted, too.
func (f *Filesystem) ReadFile(name string) ([]byte, error) {
	if data, ok := f.added[path.Clean(name)]; ok {
		return data, nil
	}
	inRepo, err := f.real(name)
	if err != nil {
		return nil, f.refuse(name, err)
	}
	if f.IsDir(name) {
		return nil, errDirectory // kustomize tries every resource as a file first
	}
	data, err := ReadFile(f.Tree, inRepo)
	if err != nil {
		return nil, f.refuse(inRepo, err)
	}
	if f.read += len(data); f.read > maxBuild {
		return nil, f.refuse(inRepo, fmt.Errorf("one build reads more than %d MiB; does it include the same base many times?", maxBuild>>20))
	}
	shape, p := yamltext.ReadShape(inRepo, data)
	if p != nil {
		f.refused = append(f.refused, *p)
		return nil, errors.New(p.String())
	}
	if f.shape.Add(shape); f.shape.TooMuch() != "" {
		return nil, f.refuse(inRepo, errors.New(f.shape.TooMuch()))
	}
	if f.objects += yamltext.CountObjects(data); f.objects > maxObjects {
		return nil, f.refuse(inRepo, fmt.Errorf("one build reads more than %d objects, counting from this file; place clusters on smaller overlays", maxObjects))
	}
	if IsKustomization(path.Base(inRepo)) && !f.IsValid(path.Dir(inRepo)) {
		return nil, f.refuse(inRepo, errors.New("no resources or components entry leads to this kustomization"))
	}
	if f.Flattened != nil && IsKustomization(path.Base(inRepo)) {
		if text := f.Flattened(path.Dir(inRepo)); text != "" {
			return []byte(text), nil
		}
	}
	return data, nil
}

func (f *Filesystem) refuse(file string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) { // kustomize also asks for files that need not exist
		f.refused = append(f.refused, UnreadableFile(strings.TrimPrefix(file, repoRoot+"/"), err, ""))
	}
	return err
}

// CleanedAbs returns the directory and the file that a path leads to, with links
// followed.
func (f *Filesystem) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	name = path.Clean("/" + name)
	if strings.HasPrefix(name+"/", repoRoot+"/") {
		inRepo, err := f.real(name)
		if err != nil {
			return "", "", err
		}
		name = path.Join(repoRoot, inRepo)
	}
	dir, err := f.stat(name)
	switch {
	case err != nil:
		return "", "", err
	case dir:
		return filesys.ConfirmedDir(name), "", nil
	}
	return filesys.ConfirmedDir(path.Dir(name)), path.Base(name), nil
}

// Exists reports whether a path leads to a file or a directory.
func (f *Filesystem) Exists(name string) bool {
	_, err := f.stat(name)
	return err == nil
}

// IsDir reports whether a path leads to a directory.
func (f *Filesystem) IsDir(name string) bool {
	dir, err := f.stat(name)
	return err == nil && dir
}

// readOnly refuses what a build does not need, so that it does not seem to work.
type readOnly struct{}

func (readOnly) Create(string) (filesys.File, error)  { return nil, errReadOnly }
func (readOnly) Mkdir(string) error                   { return errReadOnly }
func (readOnly) MkdirAll(string) error                { return errReadOnly }
func (readOnly) RemoveAll(string) error               { return errReadOnly }
func (readOnly) WriteFile(string, []byte) error       { return errReadOnly }
func (readOnly) Open(string) (filesys.File, error)    { return nil, errReadOnly }
func (readOnly) ReadDir(string) ([]string, error)     { return nil, errReadOnly }
func (readOnly) Glob(string) ([]string, error)        { return nil, errReadOnly }
func (readOnly) Walk(string, filepath.WalkFunc) error { return errReadOnly }

// noTree is the empty tree of a build whose files are all added.
type noTree struct{}

// Open finds nothing.
func (noTree) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
