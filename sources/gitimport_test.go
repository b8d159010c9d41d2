package sources_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// fastImport commits a number of files of a given size, a hundred per
// directory, and one more file.
func (r *gitRepo) fastImport(files, size int, more string) {
	r.t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var stream strings.Builder
	stream.WriteString("commit refs/heads/main\ncommitter Test <test@example.com> 1767323045 +0000\ndata 4\nmany\n")
	for i := range files {
		content := yamlNoise(random, size)
		fmt.Fprintf(&stream, "M 100644 inline apps/%03d/%05d.yaml\ndata %d\n%s\n", i/100, i, len(content), content)
	}
	fmt.Fprintf(&stream, "M 100644 inline %s\ndata 3\none\n", more)
	r.gitInput(stream.String(), "--git-dir", r.bare(), "fast-import", "--quiet")
}

// yamlNoise returns random text that compresses about as well as manifests.
func yamlNoise(random *rand.Rand, size int) string {
	var text strings.Builder
	for text.Len() < size {
		fmt.Fprintf(&text, "key-%04x: {name: app-%d, image: registry.example.com/app:%08x}\n", random.IntN(1<<16), random.IntN(100), random.Uint32())
	}
	return text.String()
}

// importFiles commits files on top of main and returns the commit's hash. A file
// whose content is "-" is removed. Unlike commit, it uses no working tree and
// makes one pack of many files, so that the two do not mix.
func (r *gitRepo) importFiles(files map[string]string) string {
	r.t.Helper()
	var stream strings.Builder
	stream.WriteString("commit refs/heads/main\ncommitter Test <test@example.com> 1767323045 +0000\ndata 8\na change\n")
	if main := filepath.Join(r.bare(), "refs/heads/main"); fileExists(main) {
		stream.WriteString("from refs/heads/main^0\n")
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if content := files[name]; content == "-" {
			fmt.Fprintf(&stream, "D %s\n", name)
		} else {
			fmt.Fprintf(&stream, "M 100644 inline %s\ndata %d\n%s\n", name, len(content), content)
		}
	}
	r.gitInput(stream.String(), "--git-dir", r.bare(), "fast-import", "--quiet")
	return r.head("refs/heads/main")
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
