package tree

import (
	"archive/tar"
	"bytes"
	"context"
	"io/fs"
	"strings"
	"testing"
)

// FuzzUntar checks that no archive makes untar panic, or gives a tree that
// exceeds the limits, has a name outside of its root, or differs the next time.
func FuzzUntar(f *testing.F) {
	for _, headers := range [][]tar.Header{
		{{Typeflag: tar.TypeDir, Name: "./"}, {Typeflag: tar.TypeReg, Name: "./a/b", Size: 3}, {Typeflag: tar.TypeSymlink, Name: "c", Linkname: "a/b"}},
		{{Typeflag: tar.TypeReg, Name: "../x", Size: 1}},
		{{Typeflag: tar.TypeReg, Name: "/x", Size: 1}},
		{{Typeflag: tar.TypeLink, Name: "x", Linkname: "y"}, {Typeflag: tar.TypeFifo, Name: "z"}},
		{{Typeflag: tar.TypeReg, Name: "a", Size: 1}, {Typeflag: tar.TypeReg, Name: "A", Size: 1}},
		{{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "../.."}, {Typeflag: tar.TypeReg, Name: "a/b", Size: 1}},
		{{Typeflag: tar.TypeReg, Name: strings.Repeat("long/", 40) + "ü", Size: 1}},
		{{Typeflag: tar.TypeXGlobalHeader, Name: "g", PAXRecords: map[string]string{"comment": "x"}}},
		{{Typeflag: tar.TypeReg, Name: ".git/config", Size: 500}},
	} {
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		for _, h := range headers {
			if h.Typeflag != tar.TypeXGlobalHeader {
				h.Mode = 0o755
			}
			if err := w.WriteHeader(&h); err != nil {
				f.Fatal(err)
			}
			if _, err := w.Write(make([]byte, h.Size)); err != nil {
				f.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Bytes(), "")
		f.Add(archive.Bytes(), "a")
	}
	f.Fuzz(func(t *testing.T, archive []byte, within string) {
		if within != "" && !fs.ValidPath(within) {
			return
		}
		limits := Limits{FileSize: 2000, TreeSize: 5000, Files: 20, PathLength: 200, Depth: 8}
		first, err := listArchive(archive, within, limits)
		second, again := listArchive(archive, within, limits)
		if (err == nil) != (again == nil) || first != second {
			t.Fatalf("untar gives %q, %v, and then %q, %v", first, err, second, again)
		}
	})
}

// listArchive lists everything in an archive, and panics if the limits are
// exceeded.
func listArchive(archive []byte, within string, limits Limits) (string, error) {
	b := NewBuilder(limits, within, nil)
	if err := b.AddTar(context.Background(), bytes.NewReader(archive)); err != nil {
		return "", err
	}
	tree, err := b.Tree()
	if err != nil {
		return "", err
	}
	var list strings.Builder
	files, size := 0, 0
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if !fs.ValidPath(name) || inGit(name) {
			panic("a tree with the name " + name)
		}
		if err != nil {
			return nil // It has been listed already.
		}
		if files++; name == "." {
			files--
		}
		n, err := tree.Lookup("stat", name, false)
		if err != nil {
			panic("a tree without the file " + name)
		}
		if n.Err == nil && (len(name) > limits.PathLength || strings.ContainsAny(name, "\\\n\x00")) {
			panic("a tree with a file that can be used, with the name " + name)
		}
		if !n.IsLink() {
			size += len(n.Data)
		}
		list.WriteString(d.Type().String() + name + "\x00" + string(n.Data) + "\x00")
		return nil
	})
	if files > limits.Files || size > int(limits.TreeSize) {
		panic("a tree beyond its limits")
	}
	return list.String(), err
}
