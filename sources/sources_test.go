package sources_test

import (
	"context"
	"io"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// testTimeout is how long a test waits for an event. Tests that pass never wait
// that long.
const testTimeout = 2 * time.Minute

func open(t *testing.T, ref string) sources.Source {
	t.Helper()
	return openWith(t, ref, sources.Limits{})
}

func openWith(t *testing.T, ref string, limits sources.Limits) sources.Source {
	t.Helper()
	s, err := sources.Open(ref, sources.Options{Limits: limits})
	if err != nil {
		t.Fatalf("Open(%q): %v", ref, err)
	}
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// fetch expects a snapshot.
func fetch(t *testing.T, s fleet.Source, known string) *fleet.Snapshot {
	t.Helper()
	snapshot, err := s.Fetch(deadline(t), known)
	if err != nil {
		t.Fatalf("Fetch(%q): %v", known, err)
	}
	if snapshot == nil {
		t.Fatalf("Fetch(%q) = nil, want a snapshot", known)
	}
	return snapshot
}

// fetchNothing expects no snapshot, because known is the current revision.
func fetchNothing(t *testing.T, s fleet.Source, known string) {
	t.Helper()
	snapshot, err := s.Fetch(deadline(t), known)
	if err != nil {
		t.Fatalf("Fetch(%q): %v", known, err)
	}
	if snapshot != nil {
		t.Fatalf("Fetch(%q) = %q, want nil", known, snapshot.Revision)
	}
}

// fetchError expects an error whose text contains all of want.
func fetchError(t *testing.T, s fleet.Source, want ...string) error {
	t.Helper()
	snapshot, err := s.Fetch(deadline(t), "")
	if err == nil {
		t.Fatalf("Fetch = %q, want an error with %q", snapshot.Revision, want)
	}
	wantText(t, err, want...)
	return err
}

// fetchFault expects a snapshot with a file that cannot be used for a reason that
// contains all of want.
func fetchFault(t *testing.T, s fleet.Source, want ...string) {
	t.Helper()
	var faults []string
	tree := fetch(t, s, "").Tree
	_ = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if _, broken := tree.Open(name); broken != nil {
			faults = append(faults, broken.Error())
		}
		return nil
	})
	for _, text := range want {
		if !strings.Contains(strings.Join(faults, "\n"), text) {
			t.Errorf("faults of files = %q, want one that says %q", faults, text)
		}
	}
}

func wantText(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("error is nil, want one with %q", want)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error = %q, want it to say %q", err, text)
		}
	}
}

// contents returns all files and links of a tree, and wantContents compares
// them.
func contents(t *testing.T, tree fs.FS) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Type() == fs.ModeSymlink:
			target, err := fs.ReadLink(tree, name)
			found[name] = "-> " + target
			return err
		case entry.IsDir():
			return nil
		}
		content, err := fs.ReadFile(tree, name)
		found[name] = string(content)
		return err
	}))
	return found
}

func wantContents(t *testing.T, tree fs.FS, want map[string]string) {
	t.Helper()
	if got := contents(t, tree); !maps.Equal(got, want) {
		t.Errorf("tree holds %q, want %q", got, want)
	}
}

func read(t *testing.T, tree fs.FS, name string) string {
	t.Helper()
	content, err := fs.ReadFile(tree, name)
	must(t, err)
	return string(content)
}

// memory returns the address of a file's bytes, which an open file passes to a
// writer without a copy.
func memory(t *testing.T, tree fs.FS, name string) *byte {
	t.Helper()
	f, err := tree.Open(name)
	must(t, err)
	defer f.Close()
	var at address
	if _, err := io.Copy(&at, f); err != nil {
		t.Fatal(err)
	}
	if at.first == nil {
		t.Fatalf("%s is empty", name)
	}
	return at.first
}

type address struct{ first *byte }

func (a *address) Write(p []byte) (int, error) {
	if a.first == nil && len(p) > 0 {
		a.first = &p[0]
	}
	return len(p), nil
}

func wantShared(t *testing.T, a, b fs.FS, name string, want bool) {
	t.Helper()
	if got := memory(t, a, name) == memory(t, b, name); got != want {
		t.Errorf("the two snapshots share the bytes of %s: %v, want %v", name, got, want)
	}
}
