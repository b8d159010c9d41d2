package sources_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

func pack(t *testing.T, tree fs.FS) *fleet.Packed {
	t.Helper()
	p, err := sources.Archive{}.Pack(deadline(t), tree)
	must(t, err)
	return p
}

func unpack(t *testing.T, p *fleet.Packed) fs.FS {
	t.Helper()
	tree, err := sources.Archive{}.Unpack(deadline(t), p)
	must(t, err)
	return tree
}

func TestPackedTreeIsTheSameTree(t *testing.T) {
	files := map[string]string{
		"fleet.yaml": "one", "base/a/a.yaml": "a", "base/b.yaml": "b", "empty": "",
		"Base/b.yaml": "told apart by case", "base/" + strings.Repeat("long", 60) + "/" + strings.Repeat("long", 60): "x",
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
		if twice := pack(t, again); twice.Digest != packed.Digest || !bytes.Equal(twice.Data, packed.Data) {
			t.Errorf("packed again it is %s, want %s and the same bytes", twice.Digest, packed.Digest)
		}
	})
}

func TestPackedTreeKnowsLFSPointers(t *testing.T) {
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("ab", 32) + "\nsize 12345\n"
	overTrees(t, map[string]string{"fleet.yaml": "one", "logo.png": pointer}, nil, func(t *testing.T, tree fs.FS) {
		again := unpack(t, pack(t, tree))
		wantUnreadable(t, again, "logo.png", "Git LFS pointer")
		if got := read(t, again, "fleet.yaml"); got != "one" {
			t.Errorf("fleet.yaml holds %q, want %q", got, "one")
		}
	})
}

func TestPackedTreeThatWasDamagedIsRefused(t *testing.T) {
	repo := newGitRepo(t)
	files := map[string]string{"fleet.yaml": noise(4096)}
	repo.commit(files)
	packed := pack(t, fetch(t, open(t, repo.fileURL()), "").Tree)
	for at := range packed.Data {
		bad := &fleet.Packed{Digest: packed.Digest, Data: bytes.Clone(packed.Data)}
		bad.Data[at] ^= 0x10
		tree, err := sources.Archive{}.Unpack(deadline(t), bad)
		if err == nil {
			wantContents(t, tree, files) // Only what says nothing was hit.
		}
	}
	other := &fleet.Packed{Digest: "sha256:" + strings.Repeat("0", 64), Data: packed.Data}
	_, err := sources.Archive{}.Unpack(deadline(t), other)
	wantText(t, err, other.Digest, packed.Digest)
}
