package render

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// eachYAML calls read for every YAML file of a folder, which need not exist, and
// of the folders in it. What is wrong with one file keeps no other from being read.
func eachYAML(tree fs.FS, folder string, read func(name string, entry fs.DirEntry) fleet.Problems) fleet.Problems {
	var problems fleet.Problems
	_ = fs.WalkDir(tree, folder, func(name string, entry fs.DirEntry, err error) error {
		switch ext := path.Ext(name); {
		case errors.Is(err, fs.ErrNotExist) && name == folder:
			// A fleet may do without.
		case err != nil:
			problems = append(problems, fleet.Problem{File: name, Message: missing(err, "is it a link?")})
		case strings.HasPrefix(path.Base(name), "."):
			// Editors keep their locks and swaps in such files.
		case !entry.IsDir() && (ext == ".yaml" || ext == ".yml"):
			problems = append(problems, read(name, entry)...)
		case linksToDirectory(tree, name, entry):
			problems = append(problems, fleet.Problem{File: name, Message: "is a link to a directory, which is not followed; put the files themselves here"})
		}
		return nil // every fault is told, none ends the walk
	})
	return problems
}

// linksToDirectory tells of a link whose files would be missed without a word:
// fs.WalkDir does not follow it.
func linksToDirectory(tree fs.FS, name string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return false
	}
	info, err := fs.Stat(tree, name)
	return err != nil || info.IsDir()
}
