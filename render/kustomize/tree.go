package kustomize

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
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
	case err != nil:
		wrong = fmt.Sprintf("%q: %s", dir, Unreadable(err, "the path is relative to the root of the fleet repo"))
	case !info.IsDir():
		wrong = fmt.Sprintf("%q is a file; name the directory of its kustomization", dir)
	}
	return clean, wrong
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
		return at.Err.Error()
	}
	return err.Error()
}
