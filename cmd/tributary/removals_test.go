package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// committed is a server of a Git repository with a fleet of ten clusters, c0 to c9, of which c0 is found
// by p1.k8s.example.com and has ten inputs. Its guard is the default one.
type committed struct {
	*process
	repo string
	last string // the newest release that was awaited
}

func startCommitted(t *testing.T) *committed {
	t.Helper()
	dir := t.TempDir()
	c := &committed{repo: filepath.Join(dir, "repo")}
	c.git(t, "init", "-q", "-b", "main", c.repo)
	files := map[string]string{"fleet.yaml": `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs:
  - {name: comps, kind: App}
  placement:
  - {selector: {}, overlay: small}
  - {selector: {matchLabels: {size: large}}, overlay: large}
`, "small/kustomization.yaml": "resources: [app.yaml]\n", "small/app.yaml": someApps(1)}
	for name, text := range c.large(10) {
		files[name] = text
	}
	for i := range 10 {
		size := "small"
		if i == 0 {
			size = "large"
		}
		files[clusterPath(i)] = committedCluster(i, fmt.Sprintf("p%d.k8s.example.com", i+1), "size: "+size+", region: eu")
	}
	c.commit(t, files)
	c.process = newProcess(t, "git+file://"+c.repo+"?ref=main", "--store", "sqlite:"+filepath.Join(dir, "tributary.db"), "--interval", "100ms", "--request-rate", "0")
	c.last = c.awaitRelease(t)
	return c
}

func clusterPath(i int) string { return fmt.Sprintf("clusters/c%d.yaml", i) }

func committedCluster(i int, dns, labels string) string {
	spec := ""
	if dns != "" {
		spec = "spec: {dns: " + dns + "}\n"
	}
	return fmt.Sprintf("apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: c%d, labels: {%s}}\n%s", i, labels, spec)
}

func someApps(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\napiVersion: example.com/v1\nkind: App\nmetadata: {name: a%d}\nspec: {tag: v1}\n", i)
	}
	return b.String()
}

// large returns the files of an overlay of so many apps.
func (*committed) large(n int) map[string]string {
	return map[string]string{"large/kustomization.yaml": "resources: [app.yaml]\n", "large/app.yaml": someApps(n)}
}

func (c *committed) git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (c *committed) commit(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(c.repo, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.git(t, "-C", c.repo, "add", "-A")
	c.git(t, "-C", c.repo, "commit", "-q", "-m", "Refactor prod overlay")
}

// awaitRelease waits until there is a release that is not the last one, and returns its ID.
func (c *committed) awaitRelease(t *testing.T) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if newest := c.newest(); newest.ID != "" && newest.ID != c.last {
			return newest.ID
		}
		if time.Now().After(deadline) {
			t.Fatal("no commit becomes a release")
		}
	}
}

type newestRelease struct {
	ID, State  string
	Violations []struct{ Rule, Message string }
}

func (c *committed) newest() (newest newestRelease) {
	_, _, text := c.try(http.MethodGet, "/api/v1/releases?limit=1", "")
	var list struct{ Items []newestRelease }
	if json.Unmarshal(text, &list) == nil && len(list.Items) > 0 {
		return list.Items[0]
	}
	return newestRelease{}
}

// propose commits files, and wants the release to be live or held, which it is for that reason.
func (c *committed) propose(t *testing.T, files map[string]string, want, reason string) {
	t.Helper()
	c.commit(t, files)
	c.last = c.awaitRelease(t)
	newest, text := c.newest(), ""
	for _, v := range newest.Violations {
		text += v.Rule + ": " + v.Message + "\n"
	}
	if newest.State != want || !strings.Contains(text, reason) {
		t.Errorf("the release is %s: %swant it %s: %s", newest.State, text, want, reason)
	}
}

// inputs returns how many inputs Flux Operator is answered at a path.
func (c *committed) inputs(t *testing.T, path string) int {
	t.Helper()
	status, _, text := c.try(http.MethodGet, "/api/v1/flux/clusters"+path, "", "User-Agent", "flux-operator/v0.58")
	var answer struct{ Inputs []any }
	if err := json.Unmarshal(text, &answer); status != http.StatusOK || err != nil {
		t.Fatalf("poll of %s = %d %s, %v", path, status, text, err)
	}
	return len(answer.Inputs)
}

func (c *committed) wantInputs(t *testing.T, path string, want int) {
	t.Helper()
	if n := c.inputs(t, path); n != want {
		t.Errorf("a poll of %s is answered with %d inputs, want %d", path, n, want)
	}
}

const comps = "/p1.k8s.example.com/comps"

func TestSixSmallCommitsThatTakeASetFromTenInputsToOneAreHeld(t *testing.T) {
	t.Parallel()
	c := startCommitted(t)
	// The fleet has 19 inputs, of which it may lose 4. The commits remove 2, 2, 2, 1, 1 and 1.
	for i, n := range []int{8, 6, 4, 3, 2, 1} {
		state, reason := "live", ""
		if i > 1 {
			state, reason = "held", fmt.Sprintf("the fleet would lose %d of 19 inputs (20%% allowed), with 4 lost earlier", 10-n)
		}
		c.propose(t, c.large(n), state, reason)
	}
	c.wantInputs(t, comps, 6)
}

func TestEightDeletedObjectsThatTakeASetFromTenInputsToTwoAreRefused(t *testing.T) {
	t.Parallel()
	c := startCommitted(t)
	var refused []byte
	for i := range 8 {
		status, _, text := c.try(http.MethodDelete, fmt.Sprintf("/api/v1/clusters/c0/objects/App/a%d", i), "")
		if want := map[bool]int{true: http.StatusOK, false: http.StatusConflict}[i < 4]; status != want {
			t.Errorf("DELETE of object %d = %d %s, want %d", i, status, text, want)
		}
		refused = text
	}
	var problem struct{ Impact struct{ Digest string } }
	if err := json.Unmarshal(refused, &problem); err != nil || !strings.Contains(string(refused), "with 4 lost earlier") {
		t.Errorf("the last DELETE is answered %s, want it to say what was lost earlier", refused)
	}
	c.wantInputs(t, comps, 6)
	// One more request lets it go.
	if status, _, text := c.try(http.MethodDelete, "/api/v1/clusters/c0/objects/App/a7?confirm="+problem.Impact.Digest, ""); status != http.StatusOK {
		t.Errorf("the confirmed DELETE = %d %s", status, text)
	}
	c.wantInputs(t, comps, 5)
}

func TestCommitThatTakesNineOfTenClustersOutOfASelectorIsHeld(t *testing.T) {
	t.Parallel()
	c := startCommitted(t)
	c.wantInputs(t, "?selector=region%3Deu", 10)
	c.kill() // at once: the selector is known already
	c.start()
	files := map[string]string{}
	for i := 1; i < 10; i++ {
		files[clusterPath(i)] = committedCluster(i, fmt.Sprintf("p%d.k8s.example.com", i+1), "size: small, region: us")
	}
	c.propose(t, files, "held", `the list of clusters matching "region=eu" would lose 9 of 10 (50% allowed)`)
	c.wantInputs(t, "?selector=region%3Deu", 10)
}

func TestDNSWhoseOwnerChangesKeepsItsTenInputs(t *testing.T) {
	t.Parallel()
	c := startCommitted(t)
	c.wantInputs(t, comps, 10)
	const reason = `the dns "p1.k8s.example.com" of cluster "c0" would find cluster "c1"`
	swap := map[string]string{
		clusterPath(0): committedCluster(0, "p2.k8s.example.com", "size: large, region: eu"),
		clusterPath(1): committedCluster(1, "p1.k8s.example.com", "size: small, region: eu"),
	}
	c.propose(t, swap, "held", reason)
	c.wantInputs(t, comps, 10)
	// The same in two commits. After the first one, no cluster has the dns.
	gone := map[string]string{
		clusterPath(0): committedCluster(0, "", "size: large, region: eu"),
		clusterPath(1): committedCluster(1, "p2.k8s.example.com", "size: small, region: eu"),
	}
	c.propose(t, gone, "live", "")
	if status, _, _ := c.try(http.MethodGet, "/api/v1/flux/clusters"+comps, ""); status != http.StatusNotFound {
		t.Errorf("status of a poll by an unused dns = %d, want 404", status)
	}
	c.propose(t, map[string]string{clusterPath(1): committedCluster(1, "p1.k8s.example.com", "size: small, region: eu")}, "held", reason)
	// And by the API, by a cluster that is new.
	document := `{"name": "x1", "dns": "p1.k8s.example.com", "labels": {"size": "small"}}`
	if status, _, text := c.try(http.MethodPost, "/api/v1/clusters", document, "Content-Type", "application/json"); status != http.StatusConflict || !strings.Contains(string(text), "would find cluster") {
		t.Errorf("POST of a cluster with the name = %d %s, want it refused", status, text)
	}
}
