package kustomize

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/internal/nearest"
)

// ReadFile reads a file of a tree that is at most 16 MiB large.
func ReadFile(tree fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(tree, name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errDirectory}
	}
	if info.Size() > maxFile {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("has %d bytes; files may have at most %d MiB", info.Size(), maxFile>>20)}
	}
	return fs.ReadFile(tree, name)
}

// InTree cleans a path that is relative to dir. It reports whether the path stays inside
// the tree.
func InTree(dir, p string) (string, bool) {
	if path.IsAbs(p) {
		return "", false
	}
	clean := path.Join(dir, p)
	return clean, clean != ".." && !strings.HasPrefix(clean, "../")
}

// Directory returns the clean form of a path to a directory of the tree, and what is
// wrong with it; "" for nothing.
func Directory(tree fs.FS, dir string) (clean, wrong string) {
	clean, inside := InTree(".", dir)
	if !inside {
		return dir, Outside(dir)
	}
	info, err := fs.Stat(tree, clean)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		wrong = fmt.Sprintf("%q: %s", dir, absent(tree, ".", dir, "the path is relative to the root of the fleet repo"))
	case err != nil:
		wrong = fmt.Sprintf("%q: %s", dir, Unreadable(err, ""))
	case !info.IsDir():
		wrong = fmt.Sprintf("%q is a file; name the directory of its kustomization", dir)
	}
	return clean, wrong
}

// Missing says why a file, relative to the root, cannot be read, and which one is meant where
// it does not exist.
func Missing(tree fs.FS, name string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return absent(tree, ".", name, "the path is relative to the root of the fleet repo")
	}
	return Unreadable(err, "")
}

// absent says that a path, relative to dir, does not exist, and what to do. hint is for one
// that is like no other.
func absent(tree fs.FS, dir, p, hint string) string {
	if meant := nearestPath(tree, dir, p); meant != "" {
		return "does not exist; is " + meant + " meant?"
	}
	return "does not exist; " + hint
}

// nearestPath returns the existing path, relative to dir, that is probably meant by one that
// does not exist: with one part spelt otherwise, or on another level; "" for none.
func nearestPath(tree fs.FS, dir, p string) string {
	clean, inside := InTree(dir, p)
	if !inside {
		return ""
	}
	exists := func(name string) bool {
		_, err := fs.Stat(tree, name)
		return err == nil
	}
	relative := func(name string) string {
		out, _ := filepath.Rel(dir, name) // both are relative to the root
		return filepath.ToSlash(out)
	}
	at, parts := ".", strings.Split(clean, "/")
	for i, part := range parts {
		if next := path.Join(at, part); exists(next) {
			at = next
			continue
		}
		var names []string
		entries, _ := fs.ReadDir(tree, at) // a file has none
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if name, ok := nearest.Name(part, names); ok {
			if meant := path.Join(append([]string{at, name}, parts[i+1:]...)...); exists(meant) {
				return relative(meant)
			}
		}
		break
	}
	rest := p
	for strings.HasPrefix(rest, "../") {
		rest = rest[len("../"):]
	}
	for up := dir; ; up = path.Dir(up) {
		if meant := path.Join(up, rest); meant != dir && exists(meant) {
			return relative(meant)
		}
		if up == "." {
			return ""
		}
	}
}

// Outside is the message for a path that leaves the tree.
func Outside(p string) string {
	return fmt.Sprintf("%q leads out of the fleet repo; it must be relative to the root", p)
}

// Unreadable says why something in the tree cannot be read. If it does not exist, the
// hint says what to look at.
func Unreadable(err error, hint string) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "does not exist; " + hint
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return strings.TrimPrefix(at.Err.Error(), at.Path+": ")
	}
	return err.Error()
}

// UnreadableFile returns the problem of a file that cannot be read. An error that names the
// file does not repeat it.
func UnreadableFile(file string, err error, hint string) fleet.Problem {
	return fleet.Problem{File: file, Message: strings.TrimPrefix(Unreadable(err, hint), file+": ")}
}
