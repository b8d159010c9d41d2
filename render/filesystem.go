package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/tributary-gitops/tributary/fleet"
)

// Limits on what kustomize reads. They are far beyond any honest fleet, and
// keep a hostile one from taking the memory of the process.
const (
	maxFile  = 16 << 20  // bytes of one file
	maxBuild = 128 << 20 // bytes that one build reads, repetitions included
	// maxObjects is how many objects one build reads. kustomize takes time by
	// the square of it: ten seconds here, five minutes for 20,000.
	maxObjects = 4_000
	maxLinks   = 40 // symbolic links followed for one path, as on Linux
)

// repoRoot is where the tree stands in the file system that kustomize sees.
// What a build adds of its own stands beside it, out of the tree's reach.
const repoRoot = "/repo"

// filesystem is all that kustomize can see: the tree, read-only, and the files
// that a build adds. It implements kustomize's filesys.FileSystem.
type filesystem struct {
	tree  fs.FS
	added map[string][]byte // by absolute path
	// vetted are the kustomizations that may be read, by directory of the
	// tree. kustomize acts on a kustomization only after reading it here, so
	// one that was not vetted can do nothing.
	vetted func(dir string) bool
	// flattened is what to give out in the place of a kustomization; nil or "" for
	// what stands there.
	flattened     func(dir string) string
	read, objects int
	shape         shape
	// refused are the files that were not given out; kustomize's own message
	// would bury the reason.
	refused fleet.Problems
}

var (
	errReadOnly  = errors.New("a fleet repo is read-only")
	errDirectory = errors.New("is a directory")
)

// real returns the path in the tree that name, an absolute path, leads to when
// its links are followed.
func (f *filesystem) real(name string) (string, error) {
	rest, found := strings.CutPrefix(path.Clean(name)+"/", repoRoot+"/")
	if !found {
		return "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return followLinks(f.tree, strings.TrimSuffix(rest, "/"))
}

// followLinks resolves every symbolic link of a path. It gives kustomize one
// name for each directory, by which it finds cycles.
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
			return "", &fs.PathError{Op: "open", Path: next, Err: fmt.Errorf("symbolic link to %s leads out of the fleet repo, or in a circle", target)}
		}
		todo = append(strings.Split(path.Clean(target), "/"), todo...)
	}
	return done, nil
}

func (f *filesystem) stat(name string) (dir bool, err error) {
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
	info, err := fs.Stat(f.tree, inRepo)
	return err == nil && info.IsDir(), err
}

// ReadFile gives out a file if it is small enough, harmless to expand and, where
// it is a kustomization, vetted.
func (f *filesystem) ReadFile(name string) ([]byte, error) {
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
	data, err := readBounded(f.tree, inRepo)
	if err != nil {
		return nil, f.refuse(inRepo, err)
	}
	if f.read += len(data); f.read > maxBuild {
		return nil, f.refuse(inRepo, fmt.Errorf("one build reads more than %d MiB; is the same base included many times?", maxBuild>>20))
	}
	shape, p := readShape(inRepo, data)
	if p != nil {
		f.refused = append(f.refused, *p)
		return nil, errors.New(p.String())
	}
	if f.shape.add(shape); f.shape.tooMuch() != "" {
		return nil, f.refuse(inRepo, errors.New(f.shape.tooMuch()))
	}
	if f.objects += countObjects(data); f.objects > maxObjects {
		return nil, f.refuse(inRepo, fmt.Errorf("is where one build passes %d objects; place clusters on smaller overlays", maxObjects))
	}
	if isKustomization(path.Base(inRepo)) && !f.vetted(path.Dir(inRepo)) {
		return nil, f.refuse(inRepo, errors.New("is a kustomization that no resources or components entry leads to"))
	}
	if f.flattened != nil && isKustomization(path.Base(inRepo)) {
		if text := f.flattened(path.Dir(inRepo)); text != "" {
			return []byte(text), nil
		}
	}
	return data, nil
}

func (f *filesystem) refuse(file string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) { // kustomize asks for files that need not be there
		f.refused = append(f.refused, fleet.Problem{File: strings.TrimPrefix(file, repoRoot+"/"), Message: missing(err, "")})
	}
	return err
}

// readBounded reads a file of the tree that is not larger than maxFile.
func readBounded(tree fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(tree, name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errDirectory}
	}
	if info.Size() > maxFile {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("has %d bytes; at most %d MiB are read", info.Size(), maxFile>>20)}
	}
	return fs.ReadFile(tree, name)
}

// CleanedAbs returns the directory and file that a path leads to, links followed.
func (f *filesystem) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
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

// Exists tells whether a path leads to a file or directory.
func (f *filesystem) Exists(name string) bool {
	_, err := f.stat(name)
	return err == nil
}

// IsDir tells whether a path leads to a directory.
func (f *filesystem) IsDir(name string) bool {
	dir, err := f.stat(name)
	return err == nil && dir
}

// The rest is of no use to a build; what kustomize does not call must not
// seem to work.

// Create refuses.
func (*filesystem) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir refuses.
func (*filesystem) Mkdir(string) error { return errReadOnly }

// MkdirAll refuses.
func (*filesystem) MkdirAll(string) error { return errReadOnly }

// RemoveAll refuses.
func (*filesystem) RemoveAll(string) error { return errReadOnly }

// WriteFile refuses.
func (*filesystem) WriteFile(string, []byte) error { return errReadOnly }

// Open refuses: kustomize reads whole files.
func (*filesystem) Open(string) (filesys.File, error) { return nil, errReadOnly }

// ReadDir refuses: a build names what it reads.
func (*filesystem) ReadDir(string) ([]string, error) { return nil, errReadOnly }

// Glob refuses, as ReadDir does.
func (*filesystem) Glob(string) ([]string, error) { return nil, errReadOnly }

// Walk refuses, as ReadDir does.
func (*filesystem) Walk(string, filepath.WalkFunc) error { return errReadOnly }
