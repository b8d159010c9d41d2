package sources_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
)

// overTrees runs a test on the same files as a directory and as a repository.
func overTrees(t *testing.T, files, links map[string]string, test func(t *testing.T, tree fs.FS)) {
	t.Helper()
	repo := newGitRepo(t)
	for link, target := range links {
		must(t, os.MkdirAll(filepath.Join(repo.work, filepath.Dir(link)), 0o755))
		must(t, os.Symlink(target, filepath.Join(repo.work, link)))
	}
	repo.commit(files)
	for name, ref := range map[string]string{"directory": repo.work, "repository": repo.fileURL()} {
		t.Run(name, func(t *testing.T) { test(t, fetch(t, open(t, ref), "").Tree) })
	}
}

func wantUnreadable(t *testing.T, tree fs.FS, name string, want ...string) {
	t.Helper()
	for op, try := range map[string]func() error{
		"Open":     func() error { _, err := tree.Open(name); return err },
		"ReadFile": func() error { _, err := fs.ReadFile(tree, name); return err },
		"ReadDir":  func() error { _, err := fs.ReadDir(tree, name); return err },
		"Stat":     func() error { _, err := fs.Stat(tree, name); return err },
	} {
		err := try()
		if !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%s(%q) = %v, want a fleet.ErrInvalid", op, name, err)
			continue
		}
		wantText(t, err, want...)
	}
}

func TestTreeIsAFileSystem(t *testing.T) {
	t.Parallel()
	files := map[string]string{"fleet.yaml": "one", "base/a/a.yaml": "a", "base/b.yaml": "b", "empty": ""}
	links := map[string]string{"link": "fleet.yaml", "base/up": "../empty", "dir": "base/a", "over": "base/up"}
	overTrees(t, files, links, func(t *testing.T, tree fs.FS) {
		if err := fstest.TestFS(tree, "fleet.yaml", "base/a/a.yaml", "base/b.yaml", "empty", "link", "dir", "over"); err != nil {
			t.Error(err)
		}
		sub, err := fs.Sub(tree, "base")
		must(t, err)
		if err := fstest.TestFS(sub, "a/a.yaml", "b.yaml"); err != nil {
			t.Error(err)
		}
	})
}

func TestTreeFollowsLinksWithin(t *testing.T) {
	t.Parallel()
	files := map[string]string{"base/a/x.yaml": "x", "base/y.yaml": "y"}
	links := map[string]string{
		"file":        "base/y.yaml",
		"dir":         "base/a",
		"base/a/back": "../..",
		"through":     "dir/back/base/y.yaml",
		"dots":        "./base//a/../y.yaml",
		"data/..1/y":  "../../base/y.yaml",
		"data/..data": "..1",
		"data/y":      "..data/y",
	}
	overTrees(t, files, links, func(t *testing.T, tree fs.FS) {
		for name, want := range map[string]string{
			"file": "y", "dir/x.yaml": "x", "dir/back/base/a/x.yaml": "x", "through": "y", "dots": "y",
			"base/a/back/dir/back/base/y.yaml": "y", "data/y": "y",
		} {
			if got := read(t, tree, name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		if entries, err := fs.ReadDir(tree, "dir"); err != nil || len(entries) != 2 || entries[1].Name() != "x.yaml" {
			t.Errorf("ReadDir(dir) = %v, %v, want back and x.yaml", entries, err)
		}
		if target, err := fs.ReadLink(tree, "dir/back"); err != nil || target != "../.." {
			t.Errorf("ReadLink(dir/back) = %q, %v, want ../..", target, err)
		}
		if info, err := fs.Lstat(tree, "dir"); err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("Lstat(dir) = %v, %v, want a symbolic link", info, err)
		}
	})
}

func TestTreeRefusesLinksThatLeadOut(t *testing.T) {
	t.Parallel()
	files := map[string]string{"base/y.yaml": "y", "base/a/x.yaml": "x"}
	links := map[string]string{
		"base/x.yaml":  "/etc/passwd",
		"base/up":      "../../outside",
		"deep/in/out":  "../../base/../../x",
		"indirect":     "base/up",
		"base/a/climb": "../../../../../../../../etc/passwd",
		"dir":          "base/a",
	}
	overTrees(t, files, links, func(t *testing.T, tree fs.FS) {
		wantUnreadable(t, tree, "base/x.yaml", "base/x.yaml: symbolic link to /etc/passwd leads out of the fleet repo")
		wantUnreadable(t, tree, "base/up", "base/up: symbolic link to ../../outside leads out")
		wantUnreadable(t, tree, "base/up/below", "base/up: symbolic link to ../../outside leads out")
		wantUnreadable(t, tree, "deep/in/out", "deep/in/out: symbolic link to")
		wantUnreadable(t, tree, "indirect", "base/up: symbolic link to ../../outside leads out")
		wantUnreadable(t, tree, "dir/climb", "base/a/climb: symbolic link to")
		if got := read(t, tree, "base/y.yaml"); got != "y" {
			t.Errorf("base/y.yaml = %q, want y", got)
		}
	})
}

func TestTreeRefusesLinksInACircle(t *testing.T) {
	t.Parallel()
	links := map[string]string{"self": "self", "a": "b", "b": "c/x", "c": "a", "grow": "grow/grow"}
	for i := range 39 {
		links[fmt.Sprintf("chain%d", i)] = fmt.Sprintf("chain%d", i+1)
	}
	links["chain39"] = "fleet.yaml"
	overTrees(t, map[string]string{"fleet.yaml": "one"}, links, func(t *testing.T, tree fs.FS) {
		for _, name := range []string{"self", "a", "b", "c", "grow"} {
			wantUnreadable(t, tree, name, "symbolic link to", "in a circle")
		}
		if got := read(t, tree, "chain0"); got != "one" {
			t.Errorf("chain0 = %q, want one", got)
		}
	})
}

func TestTreeWithoutTheFile(t *testing.T) {
	t.Parallel()
	links := map[string]string{"dangling": "nowhere", "filelink": "fleet.yaml"}
	overTrees(t, map[string]string{"fleet.yaml": "one"}, links, func(t *testing.T, tree fs.FS) {
		for _, name := range []string{"nothing", "dangling", "fleet.yaml/x", "filelink/x", "nothing/x"} {
			if _, err := fs.Stat(tree, name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Stat(%q) = %v, want fs.ErrNotExist", name, err)
			}
		}
		for _, name := range []string{"", "/", "/fleet.yaml", "../fleet.yaml", "./fleet.yaml", "fleet.yaml/"} {
			if _, err := tree.Open(name); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("Open(%q) = %v, want fs.ErrInvalid", name, err)
			}
		}
	})
}

func TestTreeIsImmutable(t *testing.T) {
	t.Parallel()
	overTrees(t, map[string]string{"fleet.yaml": "one"}, nil, func(t *testing.T, tree fs.FS) {
		content, err := fs.ReadFile(tree, "fleet.yaml")
		must(t, err)
		copy(content, "XXX")
		_ = append(content, 'X')
		entries, err := fs.ReadDir(tree, ".")
		must(t, err)
		clear(entries)
		if got := read(t, tree, "fleet.yaml"); got != "one" {
			t.Errorf("fleet.yaml = %q after its reader wrote to what it got, want one", got)
		}
		if entries, err := fs.ReadDir(tree, "."); err != nil || len(entries) != 1 || entries[0] == nil {
			t.Errorf("ReadDir = %v, %v after its reader wrote to what it got, want fleet.yaml", entries, err)
		}
	})
}

// TestTreeRefusesLFSPointers uses the pointer as Git LFS commits it, and files
// that only look like one.
func TestTreeRefusesLFSPointers(t *testing.T) {
	t.Parallel()
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("ab", 32) + "\nsize 12345\n"
	files := map[string]string{
		"big/values.yaml": pointer,
		"docs.md":         "A pointer is\n" + pointer,
		"short":           "version https://git-lfs.github.com/spec/v1\n",
		"long":            pointer + strings.Repeat("x", 1024),
	}
	links := map[string]string{"link": "big/values.yaml"}
	overTrees(t, files, links, func(t *testing.T, tree fs.FS) {
		wantUnreadable(t, tree, "big/values.yaml", "big/values.yaml: is a Git LFS pointer", "commit the file itself")
		wantUnreadable(t, tree, "link", "big/values.yaml: is a Git LFS pointer")
		if entries, err := fs.ReadDir(tree, "big"); err != nil || len(entries) != 1 || !entries[0].Type().IsRegular() {
			t.Errorf("ReadDir(big) = %v, %v, want values.yaml, a regular file", entries, err)
		}
		for _, name := range []string{"docs.md", "short", "long"} {
			if got := read(t, tree, name); got != files[name] {
				t.Errorf("%s = %q, want %q", name, got, files[name])
			}
		}
	})
}
