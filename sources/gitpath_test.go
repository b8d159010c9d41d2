package sources_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// monorepo returns the files of a monorepo around a fleet repo. They exceed the
// limits of these tests.
func monorepo(fleetRepo map[string]string) map[string]string {
	files := map[string]string{"big.bin": noise(5000), "fleet.yaml": "not this one"}
	for i := range 200 {
		files[fmt.Sprintf("src/%d/main.go", i)] = noise(300)
	}
	maps.Copy(files, fleetRepo)
	return files
}

var tight = sources.Limits{Files: 20, FileSize: 1000, TreeSize: 6000}

func TestGitReadsOnlyPath(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		for _, filter := range []string{"false", "true"} {
			repo.inBare("config", "uploadpack.allowFilter", filter)
			commit := repo.importFiles(monorepo(map[string]string{"deploy/fleet/fleet.yaml": "one", "deploy/fleet/base/a.yaml": "a", "deploy/x": "x"}))
			s := openWith(t, url+"?path=deploy/fleet", tight)
			snapshot := wantRevision(t, s, "", "main@sha1:"+commit)
			wantContents(t, snapshot.Tree, map[string]string{"fleet.yaml": "one", "base/a.yaml": "a"})
			fetchNothing(t, s, snapshot.Revision)
			fetchError(t, openWith(t, url, tight), "")
		}
	})
}

func TestGitLimitsApplyToPath(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.importFiles(monorepo(map[string]string{"fleet/a": noise(900), "fleet/b": noise(1001)}))
	fetchFault(t, openWith(t, repo.fileURL()+"?path=fleet", tight), "b: is larger than 1000 bytes")
	repo.importFiles(map[string]string{"fleet/b": "-"})
	wantRevision(t, openWith(t, repo.fileURL()+"?path=fleet", tight), "", "main@sha1:"+repo.head("refs/heads/main"))
	for i := range 25 {
		repo.importFiles(map[string]string{fmt.Sprintf("fleet/%d", i): "x"})
	}
	fetchError(t, openWith(t, repo.fileURL()+"?path=fleet", tight), "more than 20 files")
}

// TestGitFollowsPathThroughChanges makes changes that refer to objects inside
// and outside of the path, because the server assumes that all of the last
// commit is here.
func TestGitFollowsPathThroughChanges(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		inside, outside, moved, third := noise(600), noise(4000), noise(700), noise(700)
		want := map[string]string{"fleet.yaml": "one", "text": inside}
		repo.importFiles(monorepo(map[string]string{"fleet/fleet.yaml": "one", "fleet/text": inside, "other/text": outside, "other/moved": moved, "other/third": third}))
		s := openWith(t, url+"?path=fleet", tight)
		last := fetch(t, s, "")
		wantContents(t, last.Tree, want)
		for name, change := range map[string]map[string]string{
			"outside alone":      {"other/text": outside + "x", "big.bin": noise(5000)},
			"inside alone":       {"fleet/text": inside + "x"},
			"moved in":           {"fleet/moved": moved, "other/moved": "-"},
			"like one outside":   {"fleet/like": outside[:900]},
			"both":               {"fleet/fleet.yaml": "two", "other/text": outside + "y"},
			"a directory":        {"fleet/base/a/b": "b", "src/1/main.go": "-"},
			"moved in, and more": {"fleet/third": third, "other/text": outside + "z", "big.bin": noise(5000)},
			"like one moved in":  {"fleet/moved2": moved + "z", "other/moved2": moved + "zz"},
		} {
			repo.importFiles(change)
			for file, content := range change {
				if file, ok := strings.CutPrefix(file, "fleet/"); ok {
					want[file] = content
				}
			}
			next := fetch(t, s, last.Revision)
			wantContents(t, next.Tree, want)
			if t.Failed() {
				t.Fatalf("after the change %q", name)
			}
			last = next
		}
	})
}

func TestGitFetchesOnlyChangesAroundPath(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	big := noise(200 << 10)
	repo.importFiles(monorepo(map[string]string{"fleet/fleet.yaml": "one", "other/big": big}))
	server := repo.serve()
	s := open(t, server.url()+"?path=fleet")
	revision := fetch(t, s, "").Revision
	for i := range 3 {
		repo.importFiles(map[string]string{"other/big": big + fmt.Sprint(i), "fleet/n": fmt.Sprint(i)})
		server.takeRequests()
		revision = fetch(t, s, revision).Revision
		if got, bytes := server.takeRequests(); len(got) != 2 || bytes > 20<<10 {
			t.Errorf("requests %q took %d bytes, want two for a small change", got, bytes)
		}
	}
}

func TestGitRefusesInvalidPath(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		commit := repo.commitTree(
			"100644 file\x00"+repo.blob("x"),
			"40000 fleet\x00"+repo.tree("40000 eu\x00"+repo.tree("100644 fleet.yaml\x00"+repo.blob("one"))),
			"120000 link\x00"+repo.blob("fleet"),
			"160000 module\x00"+strings.Repeat("ab", 20),
		)
		for path, want := range map[string]string{
			"fleet/us":    "path fleet/us is not in the repository, which has the directory eu there",
			"flete":       "path flete is not in the repository, which has the directory fleet there",
			"fleet/eu/x":  "path fleet/eu/x is not in the repository, which has no directories there",
			"file":        "path file is a file",
			"file/x":      "path file is a file",
			"link":        "path link is a symbolic link; name the directory itself",
			"link/eu":     "path link is a symbolic link",
			"module":      "path module is a submodule",
			"module/deep": "path module is a submodule",
		} {
			var refused *fleet.RefusedError
			err := fetchError(t, open(t, url+"?path="+path), want)
			if !errors.As(err, &refused) || refused.Revision != "main@sha1:"+commit {
				t.Errorf("path %s: error = %v, want a fleet.RefusedError of the revision", path, err)
			}
		}
		wantContents(t, fetch(t, open(t, url+"?path=fleet/eu"), "").Tree, map[string]string{"fleet.yaml": "one"})
	})
}

func TestGitPathMayComeAndGo(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet/fleet.yaml": "one", "x": "x"})
	s := open(t, repo.fileURL()+"?path=fleet")
	revision := fetch(t, s, "").Revision
	gone := repo.commit(map[string]string{"fleet/fleet.yaml": "-"})
	fetchError(t, s, "path fleet is not in the repository")
	fetchNothing(t, s, "main@sha1:"+gone)
	repo.commit(map[string]string{"fleet/fleet.yaml": "two"})
	wantContents(t, fetch(t, s, revision).Tree, map[string]string{"fleet.yaml": "two"})
}

func TestGitLinksDoNotLeadOutOfPath(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commitTree(
		"100644 secret\x00"+repo.blob("x"),
		"40000 fleet\x00"+repo.tree(
			"120000 in\x00"+repo.blob("real"),
			"120000 out\x00"+repo.blob("../secret"),
			"100644 real\x00"+repo.blob("one"),
			"120000 round\x00"+repo.blob("../fleet/real"),
		),
	)
	tree := fetch(t, open(t, repo.fileURL()+"?path=fleet"), "").Tree
	if got := read(t, tree, "in"); got != "one" {
		t.Errorf("in = %q, want one", got)
	}
	wantUnreadable(t, tree, "out", "out: symbolic link to ../secret leads out of the fleet repo")
	wantUnreadable(t, tree, "round", "round: symbolic link to ../fleet/real leads out of the fleet repo")
}

// TestGitReadsNothingOutsidePath uses names outside of the path that would be
// refused inside.
func TestGitReadsNothingOutsidePath(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commitTree(
		"100644 ..\x00"+repo.blob("x"),
		"100644 caf\xe9\x00"+repo.blob("x"),
		"40000 fleet\x00"+repo.tree("100644 fleet.yaml\x00"+repo.blob("one")),
	)
	wantContents(t, fetch(t, open(t, repo.fileURL()+"?path=fleet"), "").Tree, map[string]string{"fleet.yaml": "one"})
}

func TestGitKeepsNothingOutsidePath(t *testing.T) {
	repo := newGitRepo(t)
	const large = 8 << 20
	files := map[string]string{"fleet/fleet.yaml": "one"}
	for i := range 64 {
		files[fmt.Sprint("data/", i)] = noise(large / 64)
	}
	repo.inBare("config", "core.compression", "0")
	repo.importFiles(files)
	s := open(t, repo.fileURL()+"?path=fleet")
	before := heapInUse()
	snapshot := fetch(t, s, "")
	if held := heapInUse() - before; held > large/4 {
		t.Errorf("after the fetch %d bytes are held, and the fleet repo has but three", held)
	}
	if _, err := fs.Stat(snapshot.Tree, "fleet.yaml"); err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(s)
}

// heapInUse returns how many bytes of the heap are in use.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestGitRefusesARepositoryFarLargerThanItsPath(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.fastImport(12_000, 10, "fleet/fleet.yaml")
	fetchError(t, openWith(t, repo.fileURL()+"?path=fleet", sources.Limits{Files: 10}), "the repository has more than 10200 files, directories and commits")
	wantContents(t, fetch(t, openWith(t, repo.fileURL()+"?path=fleet", sources.Limits{Files: 1000}), "").Tree, map[string]string{"fleet.yaml": "one"})
}
