package sources_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/archive"
)

// TestUnchangedDirectoriesAreAsIfReadAgain moves, changes, empties and restores
// directories, and reads and packs each commit with and without the results of
// earlier ones.
func TestUnchangedDirectoriesAreAsIfReadAgain(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	source, archive := open(t, repo.fileURL()), archive.New()
	for n, change := range []func(){
		func() {
			repo.commit(map[string]string{"a/x": "1", "a/y": "2", "b/x": "3", "b/deep/z": "4", "top": "5"})
		},
		func() { repo.commit(map[string]string{"b/x": "other"}) },
		func() { repo.commit(map[string]string{"c/x": "1", "c/y": "2"}) }, // the same as a, elsewhere
		func() { repo.commit(map[string]string{"a/x": "2", "a/y": "1"}) },
		func() {
			must(t, os.RemoveAll(filepath.Join(repo.work, "c")))
			repo.commit(map[string]string{"top": "6"})
		},
		func() { repo.commit(map[string]string{"a/x": "1", "a/y": "2", "c/x": "1", "c/y": "2"}) },
	} {
		change()
		tree, fresh := fetch(t, source, "").Tree, fetch(t, open(t, repo.fileURL()), "").Tree
		packed, err := archive.Pack(deadline(t), tree)
		must(t, err)
		if !reflect.DeepEqual(packed, pack(t, fresh)) {
			t.Errorf("commit %d is packed otherwise than if it were the first", n)
		}
	}
}

// TestReusedDirectoriesCountAgainstLimits adds files in one directory after
// another.
func TestReusedDirectoriesCountAgainstLimits(t *testing.T) {
	t.Parallel()
	for what, limits := range map[string]sources.Limits{"more than 20 files": {Files: 20}, "is larger than": {TreeSize: 150}} {
		repo := newGitRepo(t)
		source := openWith(t, repo.fileURL(), limits)
		for folder := range 3 {
			files := map[string]string{}
			for i := range 6 {
				files[fmt.Sprintf("%d/%d", folder, i)] = "0123456789"
			}
			repo.commit(files)
			if folder < 2 {
				fetch(t, source, "")
			}
		}
		fetchError(t, source, what)
	}
}
