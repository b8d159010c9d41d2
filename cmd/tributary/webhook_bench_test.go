package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkWebhookToServed measures the time from a webhook to a poll that is answered with
// the new revision. The fleet has 100 clusters and is in a repository behind git
// http-backend. Every push changes the inputs of all clusters.
func BenchmarkWebhookToServed(b *testing.B) {
	const secret = "a secret of the benchmark's own"
	repo := newFleetOf100(b)
	base := repo.serve(b, secret)
	var took []float64
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		revision := repo.push(n)
		body := fmt.Sprintf(`{"ref":"refs/heads/main","after":%q}`, revision)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		r, _ := http.NewRequest(http.MethodPost, base+"/api/v1/webhooks/github", strings.NewReader(body))
		r.Header.Set("X-GitHub-Event", "push")
		r.Header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
		b.StartTimer()
		start := time.Now()
		if got := answered(b, r).StatusCode; got != http.StatusAccepted {
			b.Fatalf("the webhook = %d, want 202", got)
		}
		repo.await(b, base, revision)
		took = append(took, time.Since(start).Seconds()*1000)
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // a mean, which a single slow push dominates
	b.ReportMetric(took[len(took)/2], "ms")
	b.ReportMetric(took[len(took)-1], "ms-worst")
}

// fleetRepo is examples/fleet with 100 clusters, behind a Git server.
type fleetRepo struct {
	b    *testing.B
	work string
	url  string
}

func newFleetOf100(b *testing.B) *fleetRepo {
	b.Helper()
	root := b.TempDir()
	repo := &fleetRepo{b: b, work: filepath.Join(root, "work")}
	if err := os.CopyFS(repo.work, os.DirFS("../../examples/fleet")); err != nil {
		b.Fatal(err)
	}
	for n := range 89 { // examples/fleet has 11
		name, environment := fmt.Sprintf("generated-%02d", n), []string{"dev", "staging", "prod"}[n%3]
		repo.write(filepath.Join("clusters", "generated", name+".yaml"), fmt.Sprintf(`apiVersion: tributary/v1alpha1
kind: Cluster
metadata:
  name: %[1]s
  labels: {environment: %[2]s, region: eu, provider: aws}
spec:
  dns: %[1]s.k8s.example.com
  patches:
  - target: {kind: PlatformComponent, name: keda}
    patch: |-
      - {op: replace, path: /spec/values/operator/replicaCount, value: %[3]d}
`, name, environment, n+2))
	}
	bare := filepath.Join(root, "srv", "repo.git")
	repo.git("init", "-q", "-b", "main")
	repo.git("init", "-q", "--bare", "-b", "main", bare)
	repo.git("remote", "add", "origin", bare)
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(bare), "GIT_HTTP_EXPORT_ALL=1"},
	})
	b.Cleanup(server.Close)
	repo.url = server.URL + "/repo.git"
	return repo
}

func (r *fleetRepo) write(name, content string) {
	r.b.Helper()
	path := filepath.Join(r.work, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		r.b.Fatal(err)
	}
}

func (r *fleetRepo) git(args ...string) string {
	r.b.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Test", "-c", "user.email=test@example.com"}, args...)...)
	cmd.Dir = r.work
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.b.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// push changes an annotation of a namespace of every cluster, and returns the revision.
func (r *fleetRepo) push(n int) string {
	r.b.Helper()
	r.write("base/kyverno/namespace.yaml", fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata:
  name: kyverno
  labels: {pod-security.kubernetes.io/enforce: restricted, platform.example.com/team: platform}
  annotations: {example.com/push: "%d"}
`, n))
	r.git("add", ".")
	r.git("commit", "-q", "-m", fmt.Sprint("push ", n))
	r.git("push", "-q", "origin", "main")
	return "main@sha1:" + r.git("rev-parse", "HEAD")
}

// serve runs the command until the benchmark ends, and returns its URL when it is ready.
func (r *fleetRepo) serve(b *testing.B, secret string) string {
	b.Helper()
	first := r.push(-1)
	dir := b.TempDir()
	addr, file := filepath.Join(dir, "addr"), filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := newServe()
	cmd.SetArgs([]string{r.url, "--interval", "1h", "--listen", "127.0.0.1:0", "--addr-file", addr,
		"--store", "sqlite:" + filepath.Join(dir, "tributary.db"), "--webhook-secret-file", file})
	cmd.SetErr(io.Discard)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- cmd.ExecuteContext(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if text, err := os.ReadFile(addr); err == nil {
			base := "http://" + strings.TrimSpace(string(text))
			r.await(b, base, first)
			return base
		}
	}
	b.Fatal("the server does not listen")
	return ""
}

// await polls until the answer has this revision.
func (r *fleetRepo) await(b *testing.B, base, revision string) {
	b.Helper()
	poll, _ := http.NewRequest(http.MethodGet, base+"/api/v1/flux/clusters/generated-42/namespaces", nil)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if answered(b, poll).Header.Get("Tributary-Revision") == revision {
			return
		}
	}
	b.Fatalf("revision %s is never served", revision)
}

func answered(b *testing.B, r *http.Request) *http.Response {
	b.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer
}
