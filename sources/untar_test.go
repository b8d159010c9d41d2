package sources_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/sources"
)

func entryOf(kind byte, name, target string) tarEntry {
	return tarEntry{&tar.Header{Typeflag: kind, Name: name, Linkname: target, Mode: 0o644, Devmajor: 1, Devminor: 3}, ""}
}

// rawEntry returns an archive with a name that tar.Writer would not write.
func rawEntry(t *testing.T, name string) []byte {
	t.Helper()
	block := tarred(t, entryFile(strings.Repeat("N", len(name)), "x"))[:1024]
	block = bytes.Replace(block, []byte(strings.Repeat("N", len(name))), []byte(name), 1)
	copy(block[148:156], "        ")
	sum := 0
	for _, b := range block[:512] {
		sum += int(b)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return append(block, make([]byte, 1024)...)
}

func TestOCIRefusesHostileArchives(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	file := entryFile("base/a.yaml", "a")
	sparse := tarEntry{&tar.Header{Typeflag: tar.TypeReg, Name: "hole", Mode: 0o644, Size: 4, Format: tar.FormatPAX,
		PAXRecords: map[string]string{"VENDOR.sparse.realsize": "100"}}, "0\n0\n"}
	hole := bytes.ReplaceAll(tarred(t, sparse), []byte("VENDOR.sparse.realsize"), []byte("GNU.sparse.realsize000"))
	for name, c := range map[string]struct {
		archive []byte
		limits  sources.Limits
		want    []string
	}{
		"..":                    {tarred(t, entryFile("../x", "x")), sources.Limits{}, []string{"../x: leads out of the artifact with .."}},
		".. in the middle":      {tarred(t, entryFile("base/../../x", "x")), sources.Limits{}, []string{"base/../../x: leads out"}},
		".. that stays within":  {tarred(t, entryFile("base/../x", "x")), sources.Limits{}, []string{"base/../x: leads out"}},
		".. as directory":       {tarred(t, entryDir("base/..")), sources.Limits{}, []string{"base/..: leads out"}},
		".. as link":            {tarred(t, entryLink("../x", "y")), sources.Limits{}, []string{"../x: leads out"}},
		"absolute":              {tarred(t, entryFile("/etc/passwd", "x")), sources.Limits{}, []string{"/etc/passwd: is an absolute path"}},
		"absolute directory":    {tarred(t, entryDir("/")), sources.Limits{}, []string{"/: is an absolute path"}},
		"no name":               {rawEntry(t, "\x00\x00\x00\x00"), sources.Limits{}, []string{"an entry without a name"}},
		"hard link":             {tarred(t, file, entryOf(tar.TypeLink, "b", "base/a.yaml")), sources.Limits{}, []string{"b: is a hard link to base/a.yaml"}},
		"hard link out":         {tarred(t, entryOf(tar.TypeLink, "b", "/etc/passwd")), sources.Limits{}, []string{"b: is a hard link to /etc/passwd"}},
		"character device":      {tarred(t, entryOf(tar.TypeChar, "dev/null", "")), sources.Limits{}, []string{"dev/null: is a device"}},
		"block device":          {tarred(t, entryOf(tar.TypeBlock, "sda", "")), sources.Limits{}, []string{"sda: is a device"}},
		"FIFO":                  {tarred(t, entryOf(tar.TypeFifo, "pipe", "")), sources.Limits{}, []string{"pipe: is a FIFO"}},
		"unknown type":          {tarred(t, entryOf('V', "label", "")), sources.Limits{}, []string{"label: has type 'V'"}},
		"sparse":                {hole, sources.Limits{}, []string{"hole: is a sparse file"}},
		"file twice":            {tarred(t, file, entryFile("./base//a.yaml", "b")), sources.Limits{}, []string{"base/a.yaml: is in the artifact twice"}},
		"file and directory":    {tarred(t, entryFile("base", "x"), entryDir("base")), sources.Limits{}, []string{"base: is in the artifact twice"}},
		"directory and file":    {tarred(t, file, entryFile("base", "x")), sources.Limits{}, []string{"base: is in the artifact twice, once as a directory"}},
		"below a file":          {tarred(t, entryFile("base", "x"), file), sources.Limits{}, []string{"base: is in the artifact twice"}},
		"below a link":          {tarred(t, entryLink("base", "other"), file), sources.Limits{}, []string{"base: is in the artifact twice, once as a symbolic link"}},
		"link over a directory": {tarred(t, file, entryLink("base", "other")), sources.Limits{}, []string{"base: is in the artifact twice, once as a directory"}},
		"link over a file":      {tarred(t, file, entryLink("base/a.yaml", "b")), sources.Limits{}, []string{"base/a.yaml: is in the artifact twice"}},
		"root as link":          {tarred(t, entryLink("./", "/etc")), sources.Limits{}, []string{"is a symbolic link in place of the root"}},
		"root as file":          {tarred(t, entryFile(".", "x")), sources.Limits{}, []string{"is a file with the name of a directory"}},
		"large tree":            {tarred(t, entryFile("a", noise(900)), entryFile("b", noise(900))), sources.Limits{TreeSize: 1000}, []string{"b: with this file", "1000 bytes"}},
		"many files":            {tarred(t, manyBelow("", 30)...), sources.Limits{Files: 20}, []string{"more than 20 files"}},
		"many empty files":      {tarred(t, manyBelow("", 4000)...), sources.Limits{Files: 3000}, []string{"more than 3000 files"}},
		"many left out":         {tarred(t, manyBelow(".git/", 2000)...), sources.Limits{Files: 20}, []string{"more than 20 files"}},
		"is a header":           {tarred(t, file)[:512], sources.Limits{}, []string{"is broken", "EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			digest := server.pushImage("fleet", "t", fluxConfig, blob{fluxContent, gzipped(t, c.archive), nil})
			o := server.options()
			o.Limits = c.limits
			wantRefused(t, openAs(t, server.url("fleet:t"), o), "t@"+digest, c.want...)
		})
	}
}

func manyBelow(prefix string, n int) []tarEntry {
	entries := make([]tarEntry, n)
	for i := range entries {
		entries[i] = entryFile(fmt.Sprint(prefix, i), "")
	}
	return entries
}

// zeros returns n zeros, compressed in members of 1 MiB each.
func zeros(t *testing.T, n int) []byte {
	t.Helper()
	return bytes.Repeat(gzipped(t, make([]byte, 1<<20)), n>>20)
}

// TestOCIBoundsUnpackedSize uses layers of a MiB that expand to 1 GiB. A file that
// is left out is not refused because of its header, but because of the size of
// the stream.
func TestOCIBoundsUnpackedSize(t *testing.T) {
	server := newRegistryServer(t)
	bomb := func(start []byte) []byte { return slices.Concat(gzipped(t, start), zeros(t, 1<<30)) }
	large := func(name string) []byte {
		var out bytes.Buffer
		must(t, tar.NewWriter(&out).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: 1 << 30}))
		return out.Bytes()
	}
	for name, c := range map[string]struct {
		layer blob
		want  string
	}{
		"file":          {blob{fluxContent, bomb(large("zeros")), nil}, "much larger than 1000 bytes in total"},
		"file left out": {blob{fluxContent, bomb(large(".git/zeros")), nil}, "much larger than 1000 bytes in total"},
		"no archive":    {blob{fluxContent, bomb([]byte("hello")), nil}, "is broken"},
	} {
		t.Run(name, func(t *testing.T) {
			digest := server.pushImage("fleet", "t", fluxConfig, c.layer)
			o := server.options()
			o.Limits = sources.Limits{FileSize: 1000, TreeSize: 1000}
			s := openAs(t, server.url("fleet:t"), o)
			if took := allocated(func() { wantRefused(t, s, "t@"+digest, c.want) }); took > 16<<20 {
				t.Errorf("refusing 1 GiB of zeros took %d bytes of memory", took)
			}
		})
	}
	server.pushImage("fleet", "t", fluxConfig, titled("zeros.gz", "application/gzip", string(bomb(nil))))
	o := server.options()
	o.Limits = sources.Limits{FileSize: 1000, TreeSize: 1000}
	fetchFault(t, openAs(t, server.url("fleet:t"), o), "zeros.gz: is larger than 1000 bytes")
	// Nothing is read after the end of an archive, where tar may add padding.
	server.pushImage("fleet", "t", fluxConfig, blob{fluxContent, bomb(tarred(t, entryFile("fleet.yaml", "one"))), nil})
	wantContents(t, fetch(t, server.open("fleet:t"), "").Tree, map[string]string{"fleet.yaml": "one"})
}

// allocated returns how many bytes f allocates, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestOCIReadsArchivesOfTar(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	global := tarEntry{&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": strings.Repeat("ab", 20)}}, ""}
	long := "base/" + strings.Repeat("long/", 30) + "ümlaut.yaml"
	gnu := entryFile(strings.ReplaceAll(long, "ü", "u"), "g")
	gnu.header.Format = tar.FormatGNU
	archive := tarred(t, global, entryDir("./"), entryDir("base/"), entryFile("./base/a.yaml", "a"), entryDir("base"), gnu,
		entryFile(long, "l"), entryDir("empty"), entryLink("link", "base/a.yaml"), entryLink("out", "../../etc/passwd"), entryLink("abs", "/etc/passwd"), entryLink("gone", "nowhere"))
	server.pushImage("fleet", "v1", fluxConfig, blob{fluxContent, gzipped(t, archive), nil})
	tree := fetch(t, server.open("fleet:v1"), "").Tree
	wantContents(t, tree, map[string]string{
		"base/a.yaml": "a", long: "l", gnu.header.Name: "g", "link": "-> base/a.yaml", "out": "-> ../../etc/passwd", "abs": "-> /etc/passwd", "gone": "-> nowhere",
	})
	if _, err := fs.Stat(tree, "empty"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat(empty) = %v, want fs.ErrNotExist, as Git has no empty directories", err)
	}
	if got := read(t, tree, "link"); got != "a" {
		t.Errorf("link leads to %q, want a", got)
	}
	wantUnreadable(t, tree, "out", "out: symbolic link to ../../etc/passwd leads out of the fleet repo")
	wantUnreadable(t, tree, "abs", "abs: symbolic link to /etc/passwd leads out of the fleet repo")
}

func TestOCIRefusesLFSPointersWhereTheyAreUsed(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("ab", 32) + "\nsize 12345\n"
	server.pushFlux("fleet:v1", map[string]string{"fleet.yaml": "one", "big.yaml": pointer})
	tree := fetch(t, server.open("fleet:v1"), "").Tree
	if got := read(t, tree, "fleet.yaml"); got != "one" {
		t.Errorf("fleet.yaml = %q, want one", got)
	}
	wantUnreadable(t, tree, "big.yaml", "big.yaml: is a Git LFS pointer")
}
