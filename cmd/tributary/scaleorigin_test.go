package main

import (
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/cmd/fleetgen/synthetic"
)

// origin is a bare Git repository with a synthetic fleet. git fast-import makes its commits,
// because committing from a worktree of ten thousand files is slow.
type origin struct {
	*synthetic.Fleet
	b       testing.TB
	dir     string
	commits int // after the first
}

func newOrigin(b testing.TB, options synthetic.Options) *origin {
	b.Helper()
	f, err := synthetic.New(options)
	if err != nil {
		b.Fatal(err)
	}
	o := &origin{Fleet: f, b: b, dir: filepath.Join(b.TempDir(), "fleet.git"), commits: -1}
	if out, err := exec.Command("git", "init", "-q", "--bare", "-b", "main", o.dir).CombinedOutput(); err != nil {
		b.Fatalf("git init: %v\n%s", err, out)
	}
	o.commit(f.Files())
	return o
}

// url returns the SOURCE.
func (o *origin) url() string { return "git+file://" + o.dir + "?ref=main" }

// commit makes a commit that changes these files, and returns its revision.
func (o *origin) commit(files map[string][]byte) (revision string) {
	o.b.Helper()
	o.commits++
	in := fmt.Appendf(nil, "commit refs/heads/main\ncommitter Test <test@example.com> %d +0000\ndata 4\ntest\n", 1_700_000_000+o.commits)
	if o.commits > 0 {
		in = append(in, "from refs/heads/main^0\n"...)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		in = fmt.Appendf(in, "M 100644 inline %s\ndata %d\n%s\n", name, len(files[name]), files[name])
	}
	o.git(in, "fast-import", "--quiet")
	return o.revision()
}

func (o *origin) revision() string {
	return "main@sha1:" + strings.TrimSpace(o.git(nil, "rev-parse", "main"))
}

// commitBase changes the inputs of every cluster. The base contains the number of commits.
func (o *origin) commitBase() (revision string) {
	name, content := o.BaseChange(o.commits + 1)
	return o.commit(map[string][]byte{name: content})
}

// commitCluster changes the inputs of one cluster, a different one each time.
func (o *origin) commitCluster() (revision string) {
	name, content := o.ClusterChange(o.commits*7919%o.Clusters, o.commits+1)
	return o.commit(map[string][]byte{name: content})
}

func (o *origin) git(in []byte, args ...string) string {
	o.b.Helper()
	cmd := exec.Command("git", append([]string{"-C", o.dir}, args...)...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.b.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}
