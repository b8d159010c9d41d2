package sources_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tributary-gitops/tributary/sources/push"
)

// TestSourcesLeaveOutWhatFluxDoes reads the same files from a directory, a Git
// repository and an artifact.
func TestSourcesLeaveOutWhatFluxDoes(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"fleet.yaml": "a", "base/a.yaml": "a", "base/logo.png": "b", ".github/workflows/ci.yml": "b", "base/.sops.yaml": "b",
		".gitignore": "", "docs/a.md": "b", "docs/keep.md": "a", "docs/deep/b.md": "b", "examples/x/kustomization.yaml": "b",
		"base/.sourceignore": "# none of these\n*.txt\n!important.txt\n", "base/notes.txt": "b", "base/important.txt": "a", "notes.txt": "a",
		".sourceignore": "/docs/**/*.md\n/docs/*.md\n!/docs/keep.md\n/examples/\n",
	}
	want := map[string]string{}
	for name, content := range files {
		if content == "a" || filepath.Base(name) == ".sourceignore" {
			want[name] = content
		}
	}
	dir := writeTree(t, files)
	registry := newRegistryServer(t)
	registry.oras(dir, "push", registry.host+"/fleet:v1", ".")
	c := &gitCheckout{t, writeTree(t, files), registry}
	c.git("init", "--quiet", "--initial-branch=main")
	c.commit()
	for _, source := range []string{dir, "git+file://" + c.dir + "?ref=main", registry.url("fleet:v1")} {
		wantContents(t, fetch(t, openAs(t, source, registry.options()), "").Tree, want)
	}
	pushed := c.push()
	wantContents(t, fetch(t, registry.open("fleet:v1"), "").Tree, want)
	if ignored := []string{
		".github/workflows/ci.yml", ".gitignore", "base/.sops.yaml", "base/logo.png", "base/notes.txt", "docs/a.md", "docs/deep/b.md", "examples/x/kustomization.yaml",
	}; !slices.Equal(pushed.Ignored, ignored) {
		t.Errorf("left out %q, want %q", pushed.Ignored, ignored)
	}
}

// TestPushHonorsGitignoreOutsideOfACheckout uses a copy of the files of a
// checkout.
func TestPushHonorsGitignoreOutsideOfACheckout(t *testing.T) {
	t.Parallel()
	registry := newRegistryServer(t)
	dir := writeTree(t, map[string]string{"fleet.yaml": "a", ".gitignore": ".env\n", ".env": "secret", "base/.env": "secret"})
	must(t, os.WriteFile(filepath.Join(dir, "base", ".gitignore"), []byte("*.key\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "base", "cosign.key"), []byte("secret"), 0o600))
	registry.pushWith(dir, "fleet:v1", push.Options{Options: registry.options()})
	wantContents(t, fetch(t, registry.open("fleet:v1"), "").Tree, map[string]string{"fleet.yaml": "a"})
}
