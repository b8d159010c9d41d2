package sources_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/archive"
)

func TestUploadedTreeIsTheSameTree(t *testing.T) {
	t.Parallel()
	files := map[string]string{"fleet.yaml": "one", "base/a/a.yaml": "a", "empty": ""}
	links := map[string]string{"base/up": "../empty", "out": "../../etc/passwd"}
	overTrees(t, files, links, func(t *testing.T, tree fs.FS) {
		packed, err := archive.PackUpload(deadline(t), tree)
		must(t, err)
		sent, err := archive.ReadUpload(deadline(t), bytes.NewReader(packed), sources.Limits{})
		must(t, err)
		wantContents(t, sent, contents(t, tree))
		wantUnreadable(t, sent, "out", "leads out of the fleet repo")
	})
}

// Uploads come from clients with read access only, and must not cost more than
// a fleet repo may.
func TestUploadedTreeIsBounded(t *testing.T) {
	t.Parallel()
	limits := sources.Limits{TreeSize: 1000, Files: 3}
	for name, headers := range map[string][]tar.Header{
		"too much":           {{Typeflag: tar.TypeReg, Name: "a", Size: 900}, {Typeflag: tar.TypeReg, Name: "b", Size: 900}},
		"too many":           {{Typeflag: tar.TypeReg, Name: "a"}, {Typeflag: tar.TypeReg, Name: "b"}, {Typeflag: tar.TypeReg, Name: "c/d"}},
		"out of the tree":    {{Typeflag: tar.TypeReg, Name: "../a", Size: 1}},
		"an absolute path":   {{Typeflag: tar.TypeReg, Name: "/a", Size: 1}},
		"a file that is two": {{Typeflag: tar.TypeReg, Name: "a"}, {Typeflag: tar.TypeReg, Name: "a/b"}},
		"nothing":            {},
	} {
		_, err := archive.ReadUpload(deadline(t), bytes.NewReader(tarOf(t, headers)), limits)
		if !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%s: ReadUpload = %v, want an ErrInvalid", name, err)
		}
	}
	if _, err := archive.ReadUpload(deadline(t), strings.NewReader("no archive"), limits); err == nil {
		t.Error("what is no archive is read")
	}
}

func tarOf(t *testing.T, headers []tar.Header) []byte {
	t.Helper()
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for _, h := range headers {
		h.Mode = 0o644
		must(t, w.WriteHeader(&h))
		_, err := w.Write(make([]byte, h.Size))
		must(t, err)
	}
	must(t, w.Close())
	return data.Bytes()
}
