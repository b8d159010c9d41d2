package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

func isDNSLabel(s string) bool { return len(validation.IsDNS1123Label(s)) == 0 }

// inTree cleans a path that was written relative to dir, and tells whether it
// stays inside the tree.
func inTree(dir, p string) (string, bool) {
	if path.IsAbs(p) {
		return "", false
	}
	clean := path.Join(dir, p)
	return clean, clean != ".." && !strings.HasPrefix(clean, "../")
}

// checkDirectory returns the clean form of a directory of the tree.
func checkDirectory(d *document, field string, tree fs.FS, dir string) string {
	clean, wrong := directory(tree, dir)
	if wrong != "" {
		d.problem(field, "%s", wrong)
	}
	return clean
}

// directory returns the clean form of a directory of the tree, and what is wrong
// with it; "" if nothing.
func directory(tree fs.FS, dir string) (clean, wrong string) {
	clean, inside := inTree(".", dir)
	if !inside {
		return dir, outside(dir)
	}
	info, err := fs.Stat(tree, clean)
	switch {
	case err != nil:
		wrong = fmt.Sprintf("%q: %s", dir, missing(err, "the path is relative to the root of the fleet repo"))
	case !info.IsDir():
		wrong = fmt.Sprintf("%q is a file; name the directory of its kustomization", dir)
	}
	return clean, wrong
}

func outside(dir string) string {
	return fmt.Sprintf("%q leads out of the fleet repo; it must be relative to the root", dir)
}

// missing says why something in the tree cannot be read: not there, with a
// hint, or what the tree says.
func missing(err error, hint string) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "does not exist; " + hint
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}
