package sources_test

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// fixtures are directories of files that take long to make. Each is made once, by
// the first test that asks for it; no test changes what is in it.
var fixtures struct {
	mu   sync.Mutex
	root string
	dirs map[string]string
}

// fixture returns the directory of that name, which fill has filled.
func fixture(t testing.TB, name string, fill func(dir string)) string {
	t.Helper()
	f := &fixtures
	f.mu.Lock()
	defer f.mu.Unlock()
	if dir, ok := f.dirs[name]; ok {
		return dir
	}
	if f.root == "" {
		root, err := os.MkdirTemp("", "tributary-fixtures-")
		must(t, err)
		f.root, f.dirs = root, map[string]string{}
	}
	dir := filepath.Join(f.root, strconv.Itoa(len(f.dirs)))
	must(t, os.Mkdir(dir, 0o700))
	fill(dir)
	f.dirs[name] = dir
	return dir
}

// removeFixtures is called once all tests have ended.
func removeFixtures() { _ = os.RemoveAll(fixtures.root) }
