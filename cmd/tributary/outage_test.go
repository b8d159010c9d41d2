package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRestartNeedsNoSource restarts the server while its source is unavailable, and again
// after a force-push of a faulty revision. Both times the server serves every set of every
// cluster as before. Rendering with the exported deltas gives the same inputs.
func TestRestartNeedsNoSource(t *testing.T) {
	t.Parallel()
	repo := newSmallExampleRepo(t)
	p := newProcess(t, repo.url, "--interval", "100ms", "--store", "sqlite:"+filepath.Join(t.TempDir(), "tributary.db"))
	writeSomeDeltas(p)
	before := p.pollAll(repo)
	deltas := filepath.Join(t.TempDir(), "exported.yaml")
	if err := os.WriteFile(deltas, stdoutOf(t, "get", "deltas", "-o", "yaml", "--server", p.url), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"eu-prod-01/platform-components", "eu-dev-01/namespaces", "us-prod-01/manifests"} {
		cluster, set, _ := strings.Cut(name, "/")
		rendered := stdoutOf(t, "render", repo.url, cluster, "--set", set, "-o", "json", "--deltas", deltas)
		// The output ends with a newline.
		if _, served, _ := strings.Cut(before[name], " "); string(rendered) != served+"\n" {
			t.Errorf("render gives %s\n%s\nand the server\n%s", name, rendered, served)
		}
	}

	p.kill()
	repo.move(repo.bare, repo.bare+".away")
	p.start()
	wantPolls(t, "while the source is unavailable", p.pollAll(repo), before)
	p.await("/api/v1/releases", `"error":`)
	wantPolls(t, "when the server knows that the source is unavailable", p.pollAll(repo), before)

	p.kill()
	repo.move(repo.bare+".away", repo.bare)
	repo.pushOver()
	p.start()
	p.await("/api/v1/releases", `"state":"failed"`)
	// The failure is an entry of the change log and increases the generation.
	wantPolls(t, "after the force-push has failed", inputsOf(p.pollAll(repo)), inputsOf(before))
}

// inputsOf returns the polled inputs without their generation.
func inputsOf(polls map[string]string) map[string]string {
	all := map[string]string{}
	for name, text := range polls {
		_, all[name], _ = strings.Cut(text, " ")
	}
	return all
}

// writeSomeDeltas creates deltas with each kind of part, for a group and for single clusters.
func writeSomeDeltas(p *process) {
	p.t.Helper()
	for _, w := range []struct{ method, path, kind, body string }{
		{"PUT", "/api/v1/deltas/prod", "application/yaml", "selector: {matchLabels: {environment: prod}}\npriority: 1\n" +
			"patches:\n- target: {kind: PlatformComponent, name: keda}\n  patch: |-\n    - {op: add, path: /spec/values/extra, value: yes}\n"},
		{"PUT", "/api/v1/deltas/some", "application/yaml", "clusters: [eu-prod-01, eu-dev-01]\ncomponents: [components/gpu]\n"},
		{"PATCH", "/api/v1/clusters/eu-prod-01/objects/PlatformComponent/keda", "application/merge-patch+json", `{"spec": {"values": {"extra": {"a": [1, "ü<&>"]}}}}`},
		{"PATCH", "/api/v1/clusters/us-prod-01/objects/PlatformComponent/traefik", "application/json-patch+json", `[{"op": "add", "path": "/spec/values", "value": {}}]`},
		{"PUT", "/api/v1/clusters/eu-dev-01/objects/Namespace/team", "application/json", `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": {
			"platform.example.com/team": "shop", "pod-security.kubernetes.io/enforce": "restricted"}}}`},
	} {
		if status, _, text := p.try(w.method, w.path, w.body, "Content-Type", w.kind); status != http.StatusOK {
			p.t.Fatalf("%s %s = %d %s", w.method, w.path, status, text)
		}
	}
}

// pollAll polls each set of each cluster and returns the generation and the inputs.
func (p *process) pollAll(repo *exampleRepo) map[string]string {
	p.t.Helper()
	all := map[string]string{}
	for _, cluster := range repo.clusters {
		for _, set := range repo.sets {
			generation, text := p.poll(cluster, set)
			all[cluster+"/"+set] = generation + " " + text
		}
	}
	return all
}

func wantPolls(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s %s is\n%s\nwant\n%s", when, name, got[name], want[name])
		}
	}
	if len(want) == 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%s %d sets are served, want %d", when, len(got), len(want))
	}
}

// await requests the path until the answer contains a text.
func (p *process) await(path, text string) {
	p.t.Helper()
	var last []byte
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, _, last = p.try(http.MethodGet, path, ""); bytes.Contains(last, []byte(text)) {
			return
		}
	}
	p.t.Fatalf("GET %s = %s, want %s in it", path, last, text)
}

// stdoutOf returns the output of a command.
func stdoutOf(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := command(t, args...).Output()
	if err != nil {
		t.Fatalf("tributary %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// exampleRepo is a bare repository of a fleet, with a work tree.
type exampleRepo struct {
	t               testing.TB
	work, bare, url string
	clusters, sets  []string
}

// newSmallExampleRepo is newExampleRepo with the clusters that the tests change. Rendering
// the others takes seconds with the race detector.
func newSmallExampleRepo(t testing.TB) *exampleRepo {
	t.Helper()
	r := newExampleRepo(t)
	r.clusters = []string{"eu-prod-01", "us-prod-01", "eu-dev-01"}
	files, err := filepath.Glob(filepath.Join(r.work, "clusters", "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !slices.Contains(r.clusters, strings.TrimSuffix(filepath.Base(file), ".yaml")) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.commit("fewer clusters")
	return r
}

// newExampleRepo returns a repository of examples/fleet.
func newExampleRepo(t testing.TB) *exampleRepo {
	t.Helper()
	return newRepoOf(t, "../../examples/fleet",
		[]string{"ap-prod-01", "eu-prod-01", "us-prod-01", "us-gpu-01", "eu-dev-01", "eu-staging-01"},
		[]string{"platform-components", "namespaces", "rolebindings", "manifests"})
}

// newRepoOf returns a repository of the fleet in a directory.
func newRepoOf(t testing.TB, fleet string, clusters, sets []string) *exampleRepo {
	t.Helper()
	root := t.TempDir()
	r := &exampleRepo{t: t, work: filepath.Join(root, "work"), bare: filepath.Join(root, "repo.git"), clusters: clusters, sets: sets}
	r.url = "git+file://" + r.bare + "?ref=main"
	if err := os.CopyFS(r.work, os.DirFS(fleet)); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q", "-b", "main")
	r.git("add", ".")
	r.git("commit", "-q", "-m", "one")
	r.git("clone", "-q", "--bare", ".", r.bare)
	return r
}

func (r *exampleRepo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Test", "-c", "user.email=test@example.com"}, args...)...)
	cmd.Dir = r.work
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *exampleRepo) move(from, to string) {
	r.t.Helper()
	if err := os.Rename(from, to); err != nil {
		r.t.Fatal(err)
	}
}

// pushOver replaces the branch by an unrelated, faulty commit, and removes the old commits
// from the repository.
func (r *exampleRepo) pushOver() {
	r.t.Helper()
	fault := []byte("resources: [absent.yaml]\n")
	if err := os.WriteFile(filepath.Join(r.work, "base", "kustomization.yaml"), fault, 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.git("checkout", "-q", "--orphan", "other")
	r.git("add", ".")
	r.git("commit", "-q", "-m", "other")
	r.git("push", "-q", "--force", r.bare, "other:main")
	r.git("--git-dir", r.bare, "gc", "-q", "--prune=now")
}
