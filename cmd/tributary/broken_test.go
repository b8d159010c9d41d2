package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/txtar"
)

var updateBroken = flag.Bool("update-broken", false, "write what validate prints into testdata/broken")

// digest is what identifies a directory in the last line of a report.
var digest = regexp.MustCompile(`sha256:[0-9a-f]+`)

// TestFirstLineNamesTheFault breaks a fleet repo in every way that people have found, and runs
// validate. The archive testdata/broken/valid.txtar is the fleet. Each other archive has the
// files that break it, what validate prints, and a comment of two lines: what is broken, and
// how the first line that is printed must begin. A file's name may end in how it is written,
// as in "fleet.yaml (removed)": see write.
func TestFirstLineNamesTheFault(t *testing.T) {
	t.Parallel()
	valid, err := txtar.ParseFile("testdata/broken/valid.txtar")
	if err != nil {
		t.Fatal(err)
	}
	archives, err := filepath.Glob("testdata/broken/*.txtar")
	if err != nil || len(archives) < 60 {
		t.Fatalf("%d archives: %v", len(archives), err)
	}
	for n, name := range archives {
		if testing.Short() && n%4 != 0 {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := t.TempDir(), ""
			files := map[string]string{}
			for _, f := range slices.Concat(valid.Files, archive.Files) {
				files[f.Name] = string(f.Data)
			}
			want = files[wantFile]
			delete(files, wantFile)
			for file, text := range maps.All(files) {
				if _, how, _ := strings.Cut(file, " ("); how == "" {
					write(t, filepath.Join(dir, file), "", text)
				}
			}
			for file, text := range files {
				if file, how, special := strings.Cut(strings.TrimSuffix(file, ")"), " ("); special {
					write(t, filepath.Join(dir, file), how, text)
				}
			}
			got := validated(t, dir)
			if *updateBroken {
				updateArchive(t, name, archive, got)
			} else if got != want {
				t.Errorf("validate printed\n%s\nwant\n%s", got, want)
			}
			_, begins, _ := strings.Cut(strings.TrimSuffix(string(archive.Comment), "\n"), "\n")
			if !strings.HasPrefix(got, begins) {
				t.Errorf("the first line does not begin with %q:\n%s", begins, got)
			}
		})
	}
}

const wantFile = "want.txt"

// validated returns what validate prints about a directory, without its digest.
func validated(t *testing.T, dir string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs([]string{"validate", dir})
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil && out.Len() == 0 {
		t.Fatal(err)
	}
	return digest.ReplaceAllString(out.String(), "sha256:…")
}

// write writes a file in one of several ways.
func write(t *testing.T, name, how, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	switch {
	case err != nil:
	case how == "removed":
		err = os.Remove(name)
	case how == "directory":
		err = os.Mkdir(name, 0o755)
	case how == "link":
		err = os.Symlink(strings.TrimSpace(text), name)
	case how == "20 MiB":
		if err = os.WriteFile(name, nil, 0o644); err == nil {
			err = os.Truncate(name, 20<<20)
		}
	case how == "utf-16":
		data := []byte{0xff, 0xfe}
		for _, c := range utf16.Encode([]rune(text)) {
			data = binary.LittleEndian.AppendUint16(data, c)
		}
		err = os.WriteFile(name, data, 0o644)
	case how == "crlf":
		err = os.WriteFile(name, []byte(strings.ReplaceAll(text, "\n", "\r\n")), 0o644)
	default:
		err = os.WriteFile(name, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func updateArchive(t *testing.T, name string, archive *txtar.Archive, got string) {
	t.Helper()
	files := archive.Files[:0]
	for _, f := range archive.Files {
		if f.Name != wantFile {
			files = append(files, f)
		}
	}
	archive.Files = append(files, txtar.File{Name: wantFile, Data: []byte(got)})
	if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
