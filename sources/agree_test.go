package sources_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/archive"
)

// unusable are files of which each makes only itself unusable, by name, and what
// is said where one is needed. What is below a directory that cannot be used is
// not listed.
var unusable = []struct{ name, content, listed, want string }{
	{"fleet.yaml", "one", "fleet.yaml", ""},
	{"docs/video.bin", strings.Repeat("v", 2001), "docs/video.bin", "docs/video.bin: is larger than 2000 bytes; move it out of the fleet repo, or raise --max-file-size"},
	{"caf\xe9.yaml", "x", `caf\xe9.yaml`, `caf\xe9.yaml: its name is not UTF-8; rename it`},
	{"d\xe9p/x.yaml", "x", `d\xe9p`, `d\xe9p: its name is not UTF-8; rename it`},
	{"README.md", "a", "README.md", "README.md: has the same name as readme.md on file systems that ignore case or Unicode form; rename one of them"},
	{"readme.md", "b", "readme.md", "readme.md: has the same name as README.md on file systems that ignore case or Unicode form; rename one of them"},
	{"x/Base/a", "a", "x/Base", "x/Base: has the same name as x/base on file systems that ignore case or Unicode form; rename one of them"},
	{"x/base/b", "b", "x/base", "x/base: has the same name as x/Base on file systems that ignore case or Unicode form; rename one of them"},
	{"x/other", "ok", "x/other", ""},
	{"caf\u00e9", "a", "caf\u00e9", "caf\u00e9: has the same name as cafe\u0301 on file systems that ignore case or Unicode form; rename one of them"},
	{"cafe\u0301", "a", "cafe\u0301", "cafe\u0301: has the same name as caf\u00e9 on file systems that ignore case or Unicode form; rename one of them"},
	{"t/k", "a", "t/k", "t/k: has the same name as t/\u212a on file systems that ignore case or Unicode form; rename one of them"},
	{"t/\u212a", "b", "t/\u212a", "t/\u212a: has the same name as t/k on file systems that ignore case or Unicode form; rename one of them"},
	{"t/STRASSE", "a", "t/STRASSE", "t/STRASSE: has the same name as t/straße on file systems that ignore case or Unicode form; rename one of them"},
	{"t/straße", "b", "t/straße", "t/straße: has the same name as t/STRASSE on file systems that ignore case or Unicode form; rename one of them"},
	{"a\u2028b", "x", "a\u2028b", `"a\u2028b": its name contains control characters; rename it`},
	{`a\b`, "x", `a\b`, `a\b: its name contains a \, which separates directories on some systems; rename it`},
	{"a\nb", "x", "a\nb", `"a\nb": its name contains control characters; rename it`},
	{"a\x1b[31mb/x", "x", "a\x1b[31mb", `"a\x1b[31mb": its name contains control characters; rename it`},
	{strings.Repeat("n", 201), "x", strings.Repeat("n", 201), strings.Repeat("n", 64) + "…: its path is longer than 200 bytes; shorten it"},
	{"d/d/d/d/d/d/d/d/d", "x", "d/d/d/d/d/d/d/d/d", "d/d/d/d/d/d/d/d/d: is more than 8 directories deep; flatten the tree"},
}

// TestSourcesAgreeOnUnusableFiles reads the same files from each kind of source.
// None of them is refused, and each says the same of the same file.
func TestSourcesAgreeOnUnusableFiles(t *testing.T) {
	t.Parallel()
	limits := sources.Limits{FileSize: 2000, PathLength: 200, Depth: 8}
	files, want := map[string]string{}, map[string]string{}
	var entries []tarEntry
	for _, f := range unusable {
		files[f.name] = f.content
		entries = append(entries, entryFile(f.name, f.content))
		want[f.listed] = f.content
		if f.want != "" {
			want[f.listed] = "! " + f.want
		}
	}
	up := strings.Repeat("../", 100) + "x"
	entries = append(entries, entryLink("up", up))
	want["up"] = "! up: a symbolic link to a path longer than 200 bytes; remove it"
	repo, filtered := newGitRepo(t), newGitRepo(t)
	for _, r := range []*gitRepo{repo, filtered} {
		must(t, os.Symlink(up, filepath.Join(r.work, "up")))
		r.commit(files)
	}
	ssh, registry := repo.serveSSH(), newRegistryServer(t)
	registry.pushImage("fleet", "tar", fluxConfig, blob{fluxContent, gzipped(t, rawTar(t, entries)), nil})
	o := registry.pushOptions()
	o.Limits = limits
	pushed := registry.pushWith(repo.work, "fleet:pushed", o)
	if n := len(pushed.Unusable); n != len(unusable)-1 {
		t.Errorf("push says that %d files are not in the artifact, want %d: %q", n, len(unusable)-1, pushed.Unusable)
	}
	filtered.inBare("config", "uploadpack.allowFilter", "true")
	withSSH := ssh.options()
	for name, at := range map[string]struct {
		ref string
		o   sources.Options
	}{
		"git over http":           {repo.serve().url(), sources.Options{}},
		"git over ssh":            {ssh.url(), withSSH},
		"git on this machine":     {repo.fileURL(), sources.Options{}},
		"git without the video":   {filtered.serve().url(), sources.Options{}},
		"directory":               {repo.work, sources.Options{}},
		"artifact":                {registry.url("fleet:tar"), registry.options()},
		"artifact that we pushed": {registry.url("fleet:pushed"), registry.options()},
	} {
		t.Run(name, func(t *testing.T) {
			at.o.Limits = limits
			tree := fetch(t, openAs(t, at.ref, at.o), "").Tree
			wantUsable(t, tree, want)
			wantUsable(t, unpack(t, pack(t, tree)), want)
			upload, err := archive.PackUpload(deadline(t), tree)
			must(t, err)
			sent, err := archive.ReadUpload(deadline(t), bytes.NewReader(upload), limits)
			must(t, err)
			wantUsable(t, sent, want)
		})
	}
}

// rawTar returns a tar of entries with any names.
func rawTar(t *testing.T, entries []tarEntry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		e.header.Size, e.header.Format = int64(len(e.content)), tar.FormatGNU
		must(t, w.WriteHeader(e.header))
		_, err := w.Write([]byte(e.content))
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

// wantUsable compares the content of each file of a tree, or its fault after an
// exclamation mark.
func wantUsable(t *testing.T, tree fs.FS, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	must(t, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			return nil
		}
		var content []byte
		if err == nil {
			content, err = fs.ReadFile(tree, name)
		}
		if got[name] = string(content); err != nil {
			got[name] = "! " + err.Error()
		}
		return nil
	}))
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%q = %.200q, want %.200q", name, got[name], want[name])
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%q is in the tree, and should not be", name)
	}
}

// TestUnusableFilesOfLaterCommits changes files that are too large or badly named,
// also where the server leaves out what is large or was sent before.
func TestUnusableFilesOfLaterCommits(t *testing.T) {
	t.Parallel()
	for name, filter := range map[string]string{"whole": "false", "filtered": "true"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := newGitRepo(t)
			repo.inBare("config", "uploadpack.allowFilter", filter)
			server := repo.serve()
			s := openWith(t, server.url(), sources.Limits{FileSize: 2000})
			large, large2 := noise(3000), noise(4000)
			const tooLarge = "! docs/v: is larger than 2000 bytes; move it out of the fleet repo, or raise --max-file-size"
			look := func(files, want map[string]string, requests int) {
				t.Helper()
				repo.commit(files)
				server.takeRequests()
				wantUsable(t, fetch(t, s, "").Tree, want)
				if got, _ := server.takeRequests(); len(got) != requests {
					t.Errorf("requests = %q, want %d", got, requests)
				}
			}
			look(map[string]string{"fleet.yaml": "one", "docs/v": large, "docs/a": "a"}, map[string]string{"fleet.yaml": "one", "docs/v": tooLarge, "docs/a": "a"}, 2)
			look(map[string]string{"fleet.yaml": "two"}, map[string]string{"fleet.yaml": "two", "docs/v": tooLarge, "docs/a": "a"}, 2)
			look(map[string]string{"docs/a": "b"}, map[string]string{"fleet.yaml": "two", "docs/v": tooLarge, "docs/a": "b"}, 2)
			look(map[string]string{"docs/v": large2}, map[string]string{"fleet.yaml": "two", "docs/v": tooLarge, "docs/a": "b"}, 2)
			// The server takes it for granted that the file is here.
			must(t, os.Rename(filepath.Join(repo.work, "docs/v"), filepath.Join(repo.work, "docs/w")))
			look(nil, map[string]string{"fleet.yaml": "two", "docs/w": strings.ReplaceAll(tooLarge, "docs/v", "docs/w"), "docs/a": "b"}, 2)
			look(map[string]string{"docs/w": "small"}, map[string]string{"fleet.yaml": "two", "docs/w": "small", "docs/a": "b"}, 2)
			// So it does with a file that was not read because of its directory.
			look(map[string]string{`b\d/x`: "moves"}, map[string]string{
				"fleet.yaml": "two", "docs/w": "small", "docs/a": "b", `b\d`: `! b\d: its name contains a \, which separates directories on some systems; rename it`}, 2)
			must(t, os.Rename(filepath.Join(repo.work, `b\d`), filepath.Join(repo.work, "bd")))
			look(nil, map[string]string{"fleet.yaml": "two", "docs/w": "small", "docs/a": "b", "bd/x": "moves"}, 4)
			look(map[string]string{"fleet.yaml": "three"}, map[string]string{"fleet.yaml": "three", "docs/w": "small", "docs/a": "b", "bd/x": "moves"}, 2)
		})
	}
}

// TestPushLeavesOutWhatFluxRefuses pulls what was pushed with oras and with Flux.
func TestPushLeavesOutWhatFluxRefuses(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	dir := writeTree(t, map[string]string{"fleet.yaml": "one", `a\b`: "x", "caf\xe9": "x", "a../b": "a", "big": strings.Repeat("x", 2001)})
	o := r.pushOptions()
	o.Limits = sources.Limits{FileSize: 2000}
	if pushed := r.pushWith(dir, "fleet:v1", o); len(pushed.Unusable) != 4 {
		t.Errorf("push says that %q are not in the artifact, want four files", pushed.Unusable)
	}
	into := t.TempDir()
	r.oras(into, "pull", r.host+"/fleet:v1")
	wantContents(t, os.DirFS(into), map[string]string{"fleet.yaml": "one"})
	into = t.TempDir()
	if out, err := exec.Command(tool(t, "fluxoci"), "pull", r.host+"/fleet:v1", into).CombinedOutput(); err != nil {
		t.Fatalf("fluxoci: %v\n%s", err, out)
	}
	wantContents(t, os.DirFS(into), map[string]string{"fleet.yaml": "one"})
}
