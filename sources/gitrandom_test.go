package sources_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/sources"
)

// TestGitReadsWhatGitArchives commits at random, with force pushes, merges, moved
// directories, links, submodules and repacks, and compares the tree of each
// revision with git archive.
func TestGitReadsWhatGitArchives(t *testing.T) {
	t.Parallel()
	seeds, steps := uint64(20), 40
	if testing.Short() {
		seeds, steps = 3, 12
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			h := newGitHistory(t, seed)
			server, ssh := h.repo.serve(), h.repo.serveSSH()
			type reader struct {
				sources.Source
				path string
			}
			var readers []reader
			o := ssh.options()
			for _, base := range []string{server.url(), h.repo.fileURL(), ssh.url()} {
				readers = append(readers, reader{openAs(t, base+"?ref=main", o), ""}, reader{openAs(t, base+"?ref=main&path=base", o), "base"})
			}
			for step := range steps {
				h.step()
				// Not each source reads each commit, so that the distances differ.
				r := readers[(step+h.rng.IntN(2))%len(readers)]
				snapshot, err := r.Fetch(deadline(t), "")
				want := h.archived(r.path)
				switch {
				case err != nil && len(want) == 0:
					wantText(t, err, "path base is not in the repository")
				case err != nil:
					t.Fatalf("step %d, %s: %v", step, r, err)
				default:
					if got := modesAndContents(t, snapshot.Tree); !maps.Equal(got, want) {
						t.Fatalf("step %d, %s: the tree at %s is\n%.2000q\nand git archive has\n%.2000q", step, r, snapshot.Revision, got, want)
					}
				}
			}
		})
	}
}

// gitHistory is a repository with random commits on main.
type gitHistory struct {
	repo    *gitRepo
	rng     *rand.Rand
	commits []string
	// files has the mode and the content of each file of main, by path.
	files map[string]gitFile
	text  string
}

type gitFile struct{ mode, content string }

func newGitHistory(t *testing.T, seed uint64) *gitHistory {
	h := &gitHistory{repo: newGitRepo(t), rng: rand.New(rand.NewPCG(seed, 0)), files: map[string]gitFile{}, text: noise(20_000)}
	filter := []string{"false", "true"}[h.rng.IntN(2)]
	h.repo.inBare("config", "uploadpack.allowFilter", filter)
	return h
}

// step changes some files, commits them on top of one commit or another, and may
// pack the repository.
func (h *gitHistory) step() {
	for range 1 + h.rng.IntN(6) {
		h.change()
	}
	h.files["fleet.yaml"] = gitFile{"100644", fmt.Sprint(len(h.commits))}
	var stream strings.Builder
	stream.WriteString("commit refs/heads/main\ncommitter Test <test@example.com> 1767323045 +0000\ndata 8\na change\n")
	if len(h.commits) > 0 {
		from := h.commits[len(h.commits)-1]
		if h.rng.IntN(4) == 0 { // A force push.
			from = h.commits[h.rng.IntN(len(h.commits))]
		}
		if h.rng.IntN(10) > 0 { // Otherwise without a history.
			stream.WriteString("from " + from + "\n")
			if other := h.commits[h.rng.IntN(len(h.commits))]; other != from && h.rng.IntN(4) == 0 {
				stream.WriteString("merge " + other + "\n")
			}
		}
	}
	stream.WriteString("deleteall\n")
	for _, name := range slices.Sorted(maps.Keys(h.files)) {
		if f := h.files[name]; f.mode == "160000" {
			fmt.Fprintf(&stream, "M %s %s %s\n", f.mode, f.content, name)
		} else {
			fmt.Fprintf(&stream, "M %s inline %s\ndata %d\n%s\n", f.mode, name, len(f.content), f.content)
		}
	}
	if len(h.commits) == 0 || h.rng.IntN(10) > 0 {
		h.repo.gitInput(stream.String(), "--git-dir", h.repo.bare(), "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet", "--force")
	} else { // Back to an earlier commit, whose files are not known here.
		h.repo.inBare("update-ref", "refs/heads/main", h.commits[h.rng.IntN(len(h.commits))])
	}
	h.commits = append(h.commits, h.repo.inBare("rev-parse", "refs/heads/main"))
	switch h.rng.IntN(8) {
	case 0:
		h.repo.inBare("repack", "-adfkq", "--depth=50", "--window=50")
	case 1:
		h.repo.inBare("pack-refs", "--all")
	}
}

func (h *gitHistory) change() {
	folder := []string{"", "base", "base/deep", "base/deep/est", "other"}[h.rng.IntN(5)]
	name := path.Join(folder, []string{"a.yaml", "b", "ü.yaml", "C.yaml"}[h.rng.IntN(4)])
	switch h.rng.IntN(9) {
	case 0, 1:
		delete(h.files, name)
	case 2:
		h.files[name] = gitFile{"120000", []string{"a.yaml", "../b", "/etc/passwd", "nothing"}[h.rng.IntN(4)]}
	case 3:
		h.files[name] = gitFile{"160000", strings.Repeat("ab", 20)}
	case 4: // The directories change places.
		moved := map[string]gitFile{}
		for name, f := range h.files {
			if rest, ok := strings.CutPrefix(name, "base/"); ok {
				name = "other/" + rest
			} else if rest, ok := strings.CutPrefix(name, "other/"); ok {
				name = "base/" + rest
			}
			moved[name] = f
		}
		h.files = moved
	case 5, 6: // Texts that are deltas of one another.
		at := h.rng.IntN(len(h.text))
		h.text = h.text[:at] + fmt.Sprint(h.rng.Uint64()) + h.text[at:]
		h.files[name] = gitFile{"100644", h.text}
	default:
		h.files[name] = gitFile{[]string{"100644", "100755"}[h.rng.IntN(2)], strings.Repeat("text\n", h.rng.IntN(5))}
	}
}

// archived returns what git has on main, below a directory, which may be missing.
func (h *gitHistory) archived(within string) map[string]string {
	found := map[string]string{}
	treeish := "refs/heads/main"
	if within != "" {
		listed := h.repo.inBare("ls-tree", treeish, within)
		if !strings.HasPrefix(listed, "040000 tree") {
			return nil
		}
		treeish += ":" + within
	}
	for line := range strings.SplitSeq(h.repo.inBare("ls-tree", "-r", "-z", treeish), "\x00") {
		if about, name, ok := strings.Cut(line, "\t"); ok && strings.HasPrefix(about, "160000 ") {
			found[name] = "submodule"
		}
	}
	archive := tar.NewReader(strings.NewReader(h.repo.inBare("archive", "--format=tar", treeish)))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		must(h.repo.t, err)
		var content bytes.Buffer
		_, err = content.ReadFrom(archive)
		must(h.repo.t, err)
		switch header.Typeflag {
		case tar.TypeSymlink:
			found[header.Name] = "-> " + header.Linkname
		case tar.TypeReg:
			found[header.Name] = fmt.Sprint(header.Mode&0o100 != 0, " ", content.String())
		}
	}
}

func modesAndContents(t *testing.T, tree fs.FS) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		info, infoErr := entry.Info()
		must(t, infoErr)
		switch {
		case entry.Type()&fs.ModeIrregular != 0:
			found[name] = "submodule"
			return nil
		case err != nil || entry.IsDir():
			return err
		case entry.Type() == fs.ModeSymlink:
			target, err := fs.ReadLink(tree, name)
			found[name] = "-> " + target
			return err
		}
		content, err := fs.ReadFile(tree, name)
		found[name] = fmt.Sprint(info.Mode()&0o100 != 0, " ", string(content))
		return err
	}))
	return found
}
