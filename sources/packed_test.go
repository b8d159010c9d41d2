package sources_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/archive"
)

func pack(t *testing.T, tree fs.FS) *fleet.Packed {
	t.Helper()
	p, err := archive.Archive{}.Pack(deadline(t), tree)
	must(t, err)
	return p
}

func unpack(t *testing.T, p *fleet.Packed) fs.FS {
	t.Helper()
	tree, err := archive.Archive{}.Unpack(deadline(t), p)
	must(t, err)
	return tree
}

func TestPackedTreeIsTheSameTree(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"fleet.yaml": "one", "base/a/a.yaml": "a", "base/b.yaml": "b", "empty": "",
		"base/" + strings.Repeat("long", 60) + "/" + strings.Repeat("long", 60): "x",
	}
	links := map[string]string{"link": "fleet.yaml", "base/up": "../empty", "dir": "base/a", "out": "../../etc/passwd", "void": "nothing"}
	overTrees(t, files, links, func(t *testing.T, tree fs.FS) {
		packed := pack(t, tree)
		again := unpack(t, packed)
		wantContents(t, again, contents(t, tree))
		for link, target := range links {
			if got, err := fs.ReadLink(again, link); got != target || err != nil {
				t.Errorf("ReadLink(%q) = %q, %v, want %q", link, got, err, target)
			}
		}
		wantUnreadable(t, again, "out", "leads out of the fleet repo")
		if twice := pack(t, again); twice.Digest != packed.Digest || !bytes.Equal(twice.Data, packed.Data) || !reflect.DeepEqual(twice.Parts, packed.Parts) {
			t.Errorf("packed again it is %s, want %s and the same bytes", twice.Digest, packed.Digest)
		}
	})
}

func TestPackedTreeKnowsLFSPointers(t *testing.T) {
	t.Parallel()
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("ab", 32) + "\nsize 12345\n"
	overTrees(t, map[string]string{"fleet.yaml": "one", "logo.bin": pointer}, nil, func(t *testing.T, tree fs.FS) {
		again := unpack(t, pack(t, tree))
		wantUnreadable(t, again, "logo.bin", "Git LFS pointer")
		if got := read(t, again, "fleet.yaml"); got != "one" {
			t.Errorf("fleet.yaml holds %q, want %q", got, "one")
		}
	})
}

func TestDamagedPackedTreeIsRefused(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	files := map[string]string{"fleet.yaml": noise(4096)}
	repo.commit(files)
	packed := pack(t, fetch(t, open(t, repo.fileURL()), "").Tree)
	for at := range packed.Data {
		bad := &fleet.Packed{Digest: packed.Digest, Data: bytes.Clone(packed.Data)}
		bad.Data[at] ^= 0x10
		tree, err := archive.Archive{}.Unpack(deadline(t), bad)
		if err == nil {
			wantContents(t, tree, files) // Only an irrelevant bit was changed.
		}
	}
	for at := range packed.Parts[0].Data {
		part := fleet.PackedPart{Digest: packed.Parts[0].Digest, Data: bytes.Clone(packed.Parts[0].Data)}
		part.Data[at] ^= 0x10
		tree, err := archive.Archive{}.Unpack(deadline(t), &fleet.Packed{Digest: packed.Digest, Data: packed.Data, Parts: []fleet.PackedPart{part}})
		if err == nil {
			wantContents(t, tree, files)
		}
	}
	_, err := archive.Archive{}.Unpack(deadline(t), &fleet.Packed{Digest: packed.Digest, Data: packed.Data})
	wantText(t, err, packed.Digest, "other parts than it lists")
	other := &fleet.Packed{Digest: "sha256:" + strings.Repeat("0", 64), Data: packed.Data}
	_, err = archive.Archive{}.Unpack(deadline(t), other)
	wantText(t, err, other.Digest, packed.Digest)
}

// TestSnapshotsShareWhatTheyHaveInCommon checks that similar trees share most
// parts, and that remembered parts do not change the result.
func TestSnapshotsShareWhatTheyHaveInCommon(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	files := map[string]string{}
	for i := range 1_000 {
		files[fmt.Sprintf("clusters/%04d.yaml", i)] = fmt.Sprintf("name: %d\n", i)
	}
	repo.importFiles(files)
	archive, source := archive.New(), open(t, repo.fileURL())
	first, err := archive.Pack(deadline(t), fetch(t, source, "").Tree)
	must(t, err)
	files["clusters/0500.yaml"], files["clusters/0500-new.yaml"] = "name: other\n", "name: new\n"
	files["clusters/0100.yaml"] = "name: another\n" // in a part that keeps its number of files
	repo.importFiles(map[string]string{"clusters/0100.yaml": "name: another\n", "clusters/0500.yaml": "name: other\n", "clusters/0500-new.yaml": "name: new\n"})
	tree := fetch(t, source, "").Tree
	second, err := archive.Pack(deadline(t), tree)
	must(t, err)
	if fresh := pack(t, tree); !reflect.DeepEqual(fresh, second) {
		t.Error("a tree is packed otherwise where another was packed before it")
	}
	if again := unpack(t, second); read(t, again, "clusters/0500.yaml") != "name: other\n" || read(t, again, "clusters/0999.yaml") != "name: 999\n" {
		t.Error("what was unpacked is not what was packed")
	}
	known, others := map[string]bool{}, 0
	for _, part := range first.Parts {
		known[part.Digest] = true
	}
	for _, part := range second.Parts {
		if !known[part.Digest] {
			others++
		}
	}
	if len(second.Parts) < 6 || others > 3 {
		t.Errorf("%d of %d parts are others, want at most the three that have the files", others, len(second.Parts))
	}
}
