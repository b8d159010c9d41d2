package sources_test

import (
	"bytes"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// gitRepo is a bare repository on disk, which git creates and changes.
type gitRepo struct {
	t testing.TB
	// root contains the repository as repo.git, and work is the working tree.
	root, work string
}

func newGitRepo(t testing.TB, initFlags ...string) *gitRepo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatalf("these tests need git: %v", err)
	}
	r := &gitRepo{t: t, root: t.TempDir(), work: t.TempDir()}
	r.git(append([]string{"init", "--bare", "--quiet", "--template=", "--initial-branch=main"}, append(initFlags, r.bare())...)...)
	return r
}

func (r *gitRepo) bare() string { return filepath.Join(r.root, "repo.git") }

// git runs git outside of the repository, without the configuration of the user
// that runs the tests.
func (r *gitRepo) git(args ...string) string {
	r.t.Helper()
	return r.gitInput("", args...)
}

func (r *gitRepo) gitInput(input string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.work
	cmd.Env = append(os.Environ(), gitEnv()...)
	cmd.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSuffix(string(out), "\n")
}

func gitEnv() []string {
	env := []string{
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		// A commit starts no maintenance, which these small repositories never need.
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=maintenance.auto", "GIT_CONFIG_VALUE_0=false",
	}
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		env = append(env, "GIT_"+who+"_NAME=Test", "GIT_"+who+"_EMAIL=test@example.com", "GIT_"+who+"_DATE=2026-01-02T03:04:05Z")
	}
	return env
}

// inBare runs git in the repository.
func (r *gitRepo) inBare(args ...string) string {
	r.t.Helper()
	return r.git(append([]string{"--git-dir", r.bare()}, args...)...)
}

// commit writes files, commits the whole working tree to the default branch,
// and returns the commit's hash. A file whose content is "-" is removed.
func (r *gitRepo) commit(files map[string]string) string {
	r.t.Helper()
	for name, content := range files {
		path := filepath.Join(r.work, name)
		if content == "-" {
			must(r.t, os.Remove(path))
			continue
		}
		must(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(r.t, os.WriteFile(path, []byte(content), 0o644))
	}
	r.inBare("--work-tree", r.work, "add", "--all")
	r.inBare("--work-tree", r.work, "commit", "--allow-empty", "--quiet", "--message", "a change")
	return r.head("HEAD")
}

// head returns the commit that a ref points to, which must be a loose one.
func (r *gitRepo) head(ref string) string {
	r.t.Helper()
	for range 5 {
		content, err := os.ReadFile(filepath.Join(r.bare(), ref))
		must(r.t, err)
		var symbolic bool
		if ref, symbolic = strings.CutPrefix(strings.TrimSpace(string(content)), "ref: "); !symbolic {
			return ref
		}
	}
	r.t.Fatalf("%s leads in a circle", ref)
	return ""
}

// commitTree commits raw tree entries, which a checkout could not contain, to
// main.
func (r *gitRepo) commitTree(entries ...string) string {
	r.t.Helper()
	return r.pointMainAt(r.tree(entries...))
}

func (r *gitRepo) pointMainAt(tree string) string {
	r.t.Helper()
	commit := r.inBare("commit-tree", "-m", "by hand", tree)
	r.inBare("update-ref", "refs/heads/main", commit)
	return commit
}

// tree writes a tree object. An entry is "mode name\x00hash", with the hash in
// hexadecimal.
func (r *gitRepo) tree(entries ...string) string {
	r.t.Helper()
	var raw bytes.Buffer
	for _, entry := range entries {
		head, hash, _ := strings.Cut(entry, "\x00")
		raw.WriteString(head + "\x00")
		for i := 0; i < len(hash); i += 2 {
			raw.WriteByte(unhex(hash[i])<<4 | unhex(hash[i+1]))
		}
	}
	return r.gitInput(raw.String(), "--git-dir", r.bare(), "hash-object", "-t", "tree", "-w", "--stdin", "--literally")
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func (r *gitRepo) blob(content string) string {
	r.t.Helper()
	return r.gitInput(content, "--git-dir", r.bare(), "hash-object", "-w", "--stdin")
}

// fileURL is the repository's URL without a server.
func (r *gitRepo) fileURL() string { return "git+file://" + r.bare() }

// gitServer serves a repository with git's own http-backend.
type gitServer struct {
	*httptest.Server
	mu sync.Mutex
	// requests are the methods and last path elements of all requests so far.
	requests []string
	// answered counts the bytes of all responses so far.
	answered int
	// interceptor may answer instead of the backend, or wrap its writer; nil
	// passes all requests on.
	interceptor func(w http.ResponseWriter, r *http.Request) http.ResponseWriter
}

func (r *gitRepo) serve() *gitServer {
	r.t.Helper()
	backend := &cgi.Handler{
		Path: filepath.Join(r.git("--exec-path"), "git-http-backend"),
		Env:  append(gitEnv(), "GIT_PROJECT_ROOT="+r.root, "GIT_HTTP_EXPORT_ALL=1"),
	}
	s := &gitServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+filepath.Base(r.URL.Path))
		intercept := s.interceptor
		s.mu.Unlock()
		w = &countingWriter{w, s}
		if intercept != nil {
			if w = intercept(w, r); w == nil {
				return
			}
		}
		backend.ServeHTTP(w, r)
	}))
	r.t.Cleanup(s.Close)
	return s
}

func (s *gitServer) url() string { return s.URL + "/repo.git" }

// intercept sets the interceptor for the following requests.
func (s *gitServer) intercept(intercept func(w http.ResponseWriter, r *http.Request) http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interceptor = intercept
}

// replaceInRefs replaces a text in the server's list of refs.
func (s *gitServer) replaceInRefs(old, replacement string) {
	s.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Method != "GET" {
			return w
		}
		return &replacingWriter{w, old, replacement}
	})
}

// replacingWriter expects the text to be within one write.
type replacingWriter struct {
	http.ResponseWriter
	old, replacement string
}

func (w *replacingWriter) Write(p []byte) (int, error) {
	_, err := w.ResponseWriter.Write(bytes.ReplaceAll(p, []byte(w.old), []byte(w.replacement)))
	return len(p), err
}

// takeRequests returns the requests and the bytes answered since its last call.
func (s *gitServer) takeRequests() ([]string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, answered := s.requests, s.answered
	s.requests, s.answered = nil, 0
	return requests, answered
}

type countingWriter struct {
	http.ResponseWriter
	server *gitServer
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.server.mu.Lock()
	w.server.answered += n
	w.server.mu.Unlock()
	return n, err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
