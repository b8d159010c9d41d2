package sources_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

func TestGitRefusesHostileTrees(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		commit func(r *gitRepo)
		limits sources.Limits
		want   []string
	}{
		"name ..":        {func(r *gitRepo) { r.commitTree("100644 ..\x00" + r.blob("x")) }, sources.Limits{}, []string{`".."`}},
		"name .":         {func(r *gitRepo) { r.commitTree("100644 .\x00" + r.blob("x")) }, sources.Limits{}, []string{`"."`}},
		"name .git":      {func(r *gitRepo) { r.commitTree("100644 .git\x00" + r.blob("x")) }, sources.Limits{}, []string{`".git"`}},
		"directory ..":   {func(r *gitRepo) { r.commitTree("40000 ..\x00" + r.tree("100644 a\x00"+r.blob("x"))) }, sources.Limits{}, []string{`".."`}},
		"name with /":    {func(r *gitRepo) { r.commitTree("100644 ../../etc/passwd\x00" + r.blob("x")) }, sources.Limits{}, []string{`"../../etc/passwd"`}},
		"name twice":     {func(r *gitRepo) { h := r.blob("x"); r.commitTree("100644 a\x00"+h, "100644 a\x00"+h) }, sources.Limits{}, []string{"lists a twice"}},
		"tree, not file": {func(r *gitRepo) { r.commitTree("100644 a\x00" + r.tree("100644 a\x00"+r.blob("x"))) }, sources.Limits{}, []string{"is a tree where a blob is needed"}},
		"large tree":     {func(r *gitRepo) { r.commit(map[string]string{"a": noise(900), "b": noise(900)}) }, sources.Limits{TreeSize: 1000}, []string{"b: with this file", "1000 bytes"}},
		"many files":     {func(r *gitRepo) { r.commit(many(30)) }, sources.Limits{Files: 20}, []string{"more than 20 files"}},
		"far too many":   {func(r *gitRepo) { r.fastImport(1100, 10, "fleet.yaml") }, sources.Limits{Files: 20}, []string{"more than 20 files"}},
		"tree bomb":      {func(r *gitRepo) { r.pointMainAt(bomb(r)) }, sources.Limits{}, []string{"more than 150000 files"}},
	} {
		t.Run(name, func(t *testing.T) {
			repo := newGitRepo(t)
			c.commit(repo)
			s := openWith(t, repo.fileURL(), c.limits)
			if err := fetchError(t, s, c.want...); !errors.Is(err, fleet.ErrInvalid) {
				t.Errorf("error = %v, want a fleet.ErrInvalid", err)
			}
		})
	}
}

func many(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprint(i)] = fmt.Sprint("content ", i)
	}
	return files
}

// bomb returns a tree of 10^10 files in a dozen objects.
func bomb(r *gitRepo) string {
	tree, mode := r.blob("boom"), "100644"
	for range 10 {
		var entries []string
		for i := range 10 {
			entries = append(entries, fmt.Sprintf("%s %d\x00%s", mode, i, tree))
		}
		tree, mode = r.tree(entries...), "40000"
	}
	return tree
}

// TestGitNeverHoldsALargeFile uses files that are small when compressed.
func TestGitNeverHoldsALargeFile(t *testing.T) {
	const large = 16 << 20
	for _, filter := range []string{"false", "true"} {
		t.Run("filter "+filter, func(t *testing.T) {
			repo := newGitRepo(t)
			repo.inBare("config", "uploadpack.allowFilter", filter)
			zeros := filepath.Join(repo.work, "zeros.bin")
			must(t, os.WriteFile(zeros, nil, 0o644))
			must(t, os.Truncate(zeros, large))
			repo.commit(map[string]string{"fleet.yaml": "one"})
			s := openWith(t, repo.fileURL(), sources.Limits{FileSize: 1 << 20})

			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			fetchFault(t, s, "zeros.bin: is larger than 1 MiB")
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > large/2 {
				t.Errorf("refusing a file of %d bytes took %d bytes of memory", large, took)
			}
		})
	}
}

func TestGitFindsALargeFileSentAsADelta(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	text := noise(50_000)
	repo.commit(map[string]string{"a.yaml": text + "a", "b.yaml": "b" + text, "c.yaml": text + "c" + text})
	repo.inBare("gc", "--quiet", "--aggressive")
	fetchFault(t, openWith(t, repo.fileURL(), sources.Limits{FileSize: 60_000}), "c.yaml: is larger than 60000 bytes")
	fetchFault(t, openWith(t, repo.fileURL(), sources.Limits{FileSize: 40_000}), "a.yaml: is larger than 40000 bytes")
}

func TestGitStopsAtMoreThanAFleetRepoMayContain(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	zeros := filepath.Join(repo.work, "zeros.bin")
	must(t, os.WriteFile(zeros, nil, 0o644))
	must(t, os.Truncate(zeros, 80<<20))
	repo.commit(map[string]string{"fleet.yaml": "one"})
	fetchError(t, openWith(t, repo.fileURL(), sources.Limits{FileSize: 100, TreeSize: 1000}), "much larger than 1000 bytes")
}

func TestGitSubmoduleIsAnErrorOnlyWhereItIsUsed(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commitTree(
		"100644 fleet.yaml\x00"+repo.blob("one"),
		"160000 vendor\x00"+strings.Repeat("ab", 20),
	)
	tree := fetch(t, open(t, repo.fileURL()), "").Tree
	if got := read(t, tree, "fleet.yaml"); got != "one" {
		t.Errorf("fleet.yaml = %q, want one", got)
	}
	wantUnreadable(t, tree, "vendor", "vendor: is a submodule", "abababab")
	wantUnreadable(t, tree, "vendor/base", "vendor: is a submodule")
}

// TestGitStopsInTheMiddleOfAPack would hang if the reader stopped reading and
// only waited for git-upload-pack to end.
func TestGitStopsInTheMiddleOfAPack(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, repo *gitRepo, url string) {
		files := map[string]string{}
		text := noise(1 << 20)
		for i := range 24 {
			files[fmt.Sprint(i)] = text[i*1000:] + noise(1000)
		}
		repo.inBare("config", "core.bigFileThreshold", "1k") // So that none becomes a delta.
		repo.inBare("config", "core.compression", "0")
		repo.commit(files)
		fetchError(t, openWith(t, url, sources.Limits{TreeSize: 1000}), "much larger than 1000 bytes")
	})
}
