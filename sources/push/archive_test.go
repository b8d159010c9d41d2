package push

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// archived contains the files that every archive must be able to contain.
var archived = []struct {
	name    string
	mode    fs.FileMode
	content string
}{
	{"run.sh", 0o755, "#!/bin/sh\n"},
	{"fleet.yaml", 0o644, "kind: Fleet\n"},
	{"base/deep/er/a.yaml", 0o600, long()},
	{"base/" + strings.Repeat("long", 60) + "/b.yaml", 0o644, "b"},
	{"clusters/zürich.yaml", 0o644, "kind: Cluster\n"},
	{"empty", 0o644, ""},
}

// long returns a text that spans several compression windows and repeats itself
// a little.
func long() string {
	var b strings.Builder
	for i := range uint64(20_000) {
		fmt.Fprintf(&b, "key%d: %x\n", i%997, i*i*0x9e3779b97f4a7c15>>30)
	}
	return b.String()
}

func archiveOf(t *testing.T) *archive {
	t.Helper()
	b := tree.NewBuilder(tree.Limits{}.OrDefaults(), "", nil)
	for _, f := range archived {
		if err := b.AddFile(f.name, f.mode, int64(len(f.content)), strings.NewReader(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	made, err := b.Tree()
	if err != nil {
		t.Fatal(err)
	}
	a, err := pack(t.Context(), made)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestArchiveBytesNeverChange fails if a new version of Go or of the
// compression library changes the output. Then every artifact gets a new
// digest, and the changelog must say so.
func TestArchiveBytesNeverChange(t *testing.T) {
	t.Parallel()
	i, err := newImage(archiveOf(t), map[string]string{"b": "<2>", "a": "1"})
	if err != nil {
		t.Fatal(err)
	}
	const (
		content  = "sha256:74b1e8402fcbabaaf24421f49f2fec18caac3c8fc9f1c639aefe38726e47ddb2"
		layer    = "sha256:54d3cd647a021272f70b6f4522e87fe657c0346529e9becae0415f444ed180e8"
		manifest = "sha256:35ab1a62f05dcca21f5f6d1a06f39ef61ac3c6b811aa50b28dfd31ef1a757aac"
	)
	for what, digests := range map[string][2]string{
		"tar":      {i.layer.Annotations[contentAnnotation], content},
		"layer":    {i.layer.Digest.String(), layer},
		"manifest": {i.manifest.Digest.String(), manifest},
	} {
		if got, want := digests[0], digests[1]; got != want {
			t.Errorf("%s has digest %s, want %s", what, got, want)
		}
	}
}

func TestArchiveContainsNothingOfTheMachine(t *testing.T) {
	t.Parallel()
	zip, err := gzip.NewReader(bytes.NewReader(archiveOf(t).data))
	if err != nil {
		t.Fatal(err)
	}
	if zip.Name != "" || zip.Comment != "" || !zip.ModTime.IsZero() || zip.OS != 255 {
		t.Errorf("gzip header = %+v, want nothing in it", zip.Header)
	}
	var names []string
	files := tar.NewReader(zip)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("header of %s = %+v, want neither owner nor time", h.Name, h)
		}
		want := fs.FileMode(0o644)
		if h.Typeflag == tar.TypeDir || h.Name == "run.sh" {
			want = 0o755
		}
		if got := fs.FileMode(h.Mode); got != want {
			t.Errorf("mode of %s = %o, want %o", h.Name, got, want)
		}
		for key := range h.PAXRecords {
			if key != "path" {
				t.Errorf("%s has a PAX record of %s", h.Name, key)
			}
		}
	}
	deep := "base/" + strings.Repeat("long", 60) + "/"
	want := []string{
		"base/", "base/deep/", "base/deep/er/", "base/deep/er/a.yaml", deep, deep + "b.yaml",
		"clusters/", "clusters/zürich.yaml", "empty", "fleet.yaml", "run.sh",
	}
	if !slices.Equal(names, want) {
		t.Errorf("archive holds %q, want %q", names, want)
	}
}
