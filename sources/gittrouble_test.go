package sources_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// TestMain discards what is logged about broken pipes, which many of these tests
// cause, and lets the process trust the certificate of test servers. The process
// reads that only once.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	os.Exit(trusting(httptest.NewTLSServer(nil), func() int {
		if runChild() {
			return 0
		}
		defer removeFixtures()
		return m.Run()
	}))
}

func trusting(server *httptest.Server, run func() int) int {
	defer server.Close()
	file, err := os.CreateTemp("", "tributary-test-*.pem")
	if err != nil {
		panic(err)
	}
	defer os.Remove(file.Name())
	if err := pem.Encode(file, &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}); err != nil {
		panic(err)
	}
	if err := errors.Join(file.Close(), os.Setenv("SSL_CERT_FILE", file.Name())); err != nil {
		panic(err)
	}
	return run()
}

func TestGitOverHTTPS(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := httptest.NewTLSServer(repo.serve().Config.Handler)
	defer server.Close()
	s := open(t, server.URL+"/repo.git?ref=main")
	revision := fetch(t, s, "").Revision
	repo.commit(map[string]string{"fleet.yaml": "two"})
	wantContents(t, fetch(t, s, revision).Tree, map[string]string{"fleet.yaml": "two"})

	// A redirect from https to http is not followed.
	down := httptest.NewTLSServer(http.RedirectHandler(repo.serve().url()+"/info/refs", http.StatusFound))
	defer down.Close()
	fetchError(t, open(t, down.URL+"/repo.git"), "redirect", `"https" to "http"`)
}

// TestGitRecovers lets one request fail and the next one succeed, before
// anything was fetched and after.
func TestGitRecovers(t *testing.T) {
	t.Parallel()
	status := func(code int) func(http.ResponseWriter) http.ResponseWriter {
		return func(w http.ResponseWriter) http.ResponseWriter {
			http.Error(w, "a page\nwith https://user:hunter2@host/?token=hunter2 in it", code)
			return nil
		}
	}
	for name, trouble := range map[string]struct {
		method    string
		intercept func(http.ResponseWriter) http.ResponseWriter
		want      string
	}{
		"refs 500":       {"GET", status(500), "the server answered 500 Internal Server Error"},
		"refs 503":       {"GET", status(503), "the server answered 503 Service Unavailable"},
		"refs 404":       {"GET", status(404), "not found; check the URL"},
		"refs 401":       {"GET", status(401), "--git-token-file"},
		"refs 403":       {"GET", status(403), "--git-token-file"},
		"refs are HTML":  {"GET", status(200), "not a Git server"},
		"refs truncated": {"GET", truncated(70), ""},
		"refs garbled":   {"GET", garbled(40), ""},
		"pack 500":       {"POST", status(500), "the server answered 500 Internal Server Error"},
		"pack truncated": {"POST", truncated(2000), ""},
		"pack cut short": {"POST", truncated(100), ""},
		"pack missing":   {"POST", truncated(0), ""},
		"pack garbled":   {"POST", garbled(2000), ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo := newGitRepo(t)
			repo.commit(map[string]string{"fleet.yaml": "one", "noise": noise(9000)})
			server := repo.serve()
			s := open(t, server.url())
			for round, content := range []string{"one", "two"} {
				repo.commit(map[string]string{"fleet.yaml": content, "more": noise(9000)})
				server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
					if r.Method != trouble.method {
						return w
					}
					return trouble.intercept(w)
				})
				if err := fetchError(t, s, trouble.want, server.url()); strings.Contains(err.Error(), "hunter2") {
					t.Errorf("round %d: error %q tells a secret", round, err)
				}
				server.intercept(nil)
				if got := read(t, fetch(t, s, "").Tree, "fleet.yaml"); got != content {
					t.Errorf("round %d: fleet.yaml = %q after the trouble, want %q", round, got, content)
				}
			}
		})
	}
}

// TestGitRetriesBriefTrouble lets each request fail once.
func TestGitRetriesBriefTrouble(t *testing.T) {
	t.Parallel()
	status := func(code int, after string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(code)
		}
	}
	for name, fail := range map[string]func(http.ResponseWriter){
		"503":                    status(503, ""),
		"503 with a time":        status(503, "1"),
		"429 with a time":        status(429, "1"),
		"502":                    status(502, ""),
		"the connection is lost": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := newGitRepo(t)
			repo.commit(map[string]string{"fleet.yaml": "one"})
			server := repo.serve()
			var failed sync.Map
			server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
				if _, again := failed.LoadOrStore(r.Method, true); again {
					return w
				}
				fail(w)
				return nil
			})
			wantContents(t, fetch(t, open(t, server.url()), "").Tree, map[string]string{"fleet.yaml": "one"})
			want := []string{"GET refs", "GET refs", "POST git-upload-pack", "POST git-upload-pack"}
			if got, _ := server.takeRequests(); !slices.Equal(got, want) {
				t.Errorf("requests = %q, want %q", got, want)
			}
		})
	}
}

// truncated passes a number of bytes of a body and then closes the connection.
func truncated(n int) func(http.ResponseWriter) http.ResponseWriter {
	return func(w http.ResponseWriter) http.ResponseWriter { return &brokenWriter{w, n, false} }
}

// garbled inverts one byte.
func garbled(at int) func(http.ResponseWriter) http.ResponseWriter {
	return func(w http.ResponseWriter) http.ResponseWriter { return &brokenWriter{w, at, true} }
}

type brokenWriter struct {
	http.ResponseWriter
	left int
	flip bool
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left < 0 || w.left >= len(p) {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	if w.flip {
		p = bytes.Clone(p)
		p[w.left] ^= 0xff
		w.left = -1
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	panic(http.ErrAbortHandler)
}

// TestGitStartsOver uses a server that does not know the commit that the client
// already has, as after a restore from a backup.
func TestGitStartsOver(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url())
	revision := fetch(t, s, "").Revision
	repo.commit(map[string]string{"fleet.yaml": "two"})
	server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		body, err := io.ReadAll(r.Body)
		if err != nil || bytes.Contains(body, []byte("have ")) {
			http.Error(w, "no such commit", http.StatusInternalServerError)
			return nil
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return w
	})
	server.takeRequests()
	wantContents(t, fetch(t, s, revision).Tree, map[string]string{"fleet.yaml": "two"})
	if got, _ := server.takeRequests(); !slices.Equal(got, []string{"GET refs", "POST git-upload-pack", "GET refs", "POST git-upload-pack"}) {
		t.Errorf("requests = %q, want the fetch twice", got)
	}
}

func TestGitErrorsCanBeActedUpon(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url())
	for code, want := range map[int]error{401: fleet.ErrUnauthenticated, 403: fleet.ErrForbidden, 404: fleet.ErrNotFound} {
		server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
			w.WriteHeader(code)
			return nil
		})
		if err := fetchError(t, s); !errors.Is(err, want) {
			t.Errorf("on %d, error = %v, want %v", code, err, want)
		}
	}
	if err := fetchError(t, open(t, repo.fileURL()+".missing"), "check the URL"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("error = %v, want fleet.ErrNotFound", err)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	fetchError(t, open(t, gone.URL+"/repo.git"), "connection refused")
}

func TestGitFollowsRedirectOfTheRepository(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := server.url() + strings.TrimPrefix(r.URL.Path, "/old.git") + "?" + r.URL.RawQuery
		http.Redirect(w, r, to, http.StatusMovedPermanently)
	}))
	defer moved.Close()
	wantContents(t, fetch(t, open(t, moved.URL+"/old.git"), "").Tree, map[string]string{"fleet.yaml": "one"})
}

// TestGitRedirectsToAllowedHostsOnly has a server that redirects to the same repository under
// another name of its host.
func TestGitRedirectsToAllowedHostsOnly(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	other := strings.Replace(repo.serve().url(), "127.0.0.1", "localhost", 1)
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other+strings.TrimPrefix(r.URL.Path, "/old.git")+"?"+r.URL.RawQuery, http.StatusFound)
	}))
	defer moved.Close()
	host := strings.TrimPrefix(strings.TrimSuffix(other, "/repo.git"), "http://")
	for _, allowed := range [][]string{nil, {"example.com"}, {"localhost:1"}} {
		s := openAs(t, moved.URL+"/old.git", sources.Options{Git: sources.GitOptions{RedirectHosts: allowed}})
		fetchError(t, s, "--git-allow-redirect-host "+host)
	}
	for _, allowed := range [][]string{{"localhost"}, {"example.com", host}} {
		s := openAs(t, moved.URL+"/old.git", sources.Options{Git: sources.GitOptions{RedirectHosts: allowed}})
		wantContents(t, fetch(t, s, "").Tree, map[string]string{"fleet.yaml": "one"})
	}
}

func TestGitErrorsKeepRedirectsSecret(t *testing.T) {
	t.Parallel()
	for _, to := range []string{
		"https://user:hunter2@127.0.0.1:1/?token=hunter2",
		"ftp://user:hunter2@host/?token=hunter2",
		"/login?token=hunter2",
	} {
		server := httptest.NewServer(http.RedirectHandler(to, http.StatusFound))
		defer server.Close()
		if err := fetchError(t, open(t, server.URL+"/repo.git"), server.URL); strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %q tells a secret", err)
		}
	}
}

func TestGitFollowsNoRedirectOfTheFetchItself(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Method == "GET" {
			return w
		}
		http.Redirect(w, r, "https://user:hunter2@127.0.0.1:1/?token=hunter2", http.StatusTemporaryRedirect)
		return nil
	})
	if err := fetchError(t, open(t, server.url()), "redirect"); strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %q tells a secret", err)
	}
}

func TestGitURLMayHaveEscapes(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	must(t, os.Rename(repo.bare(), filepath.Join(repo.root, "my repo%.git")))
	for _, url := range []string{repo.serve().URL, "git+file://" + repo.root} {
		wantContents(t, fetch(t, open(t, url+"/my%20repo%25.git"), "").Tree, map[string]string{"fleet.yaml": "one"})
	}
}

// TestGitBoundsAnswers uses servers that never stop sending.
func TestGitBoundsAnswers(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"refs": "003d0123456789012345678901234567890123456789 refs/heads/xxxxx\n",
		"text": "all work and no play makes a dull server\n",
	} {
		t.Run(name, func(t *testing.T) {
			many := strings.Repeat(line, 1000)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				status := http.StatusOK
				if name == "text" {
					status = http.StatusNotFound
				}
				w.WriteHeader(status)
				if name == "refs" {
					_, _ = io.WriteString(w, "001e# service=git-upload-pack\n00000042"+"0123456789012345678901234567890123456789 refs/heads/a\x00shallow\n")
				}
				for {
					if _, err := io.WriteString(w, many); err != nil {
						return
					}
				}
			}))
			defer server.Close()
			fetchError(t, open(t, server.URL+"/repo.git"))
		})
	}
}

func TestGitRequestsAFaultyCommitOnce(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"big": "small"})
	server := repo.serve()
	s := openWith(t, server.url(), sources.Limits{TreeSize: 1000})
	before := fetch(t, s, "")

	repo.commit(map[string]string{"big": noise(2000)})
	first := fetchError(t, s, "big: with this file, the tree is larger")
	server.takeRequests()
	if second := fetchError(t, s, "big: with this file"); second.Error() != first.Error() {
		t.Errorf("error = %q, and %q before", second, first)
	}
	if got, _ := server.takeRequests(); !slices.Equal(got, []string{"GET refs"}) {
		t.Errorf("requests = %q, want one for the refs alone", got)
	}

	repo.commit(map[string]string{"big": "small again"})
	wantContents(t, fetch(t, s, before.Revision).Tree, map[string]string{"big": "small again"})
}

// TestGitOffersWhatAzureDevOpsNeeds uses a server that requires multi_ack.
func TestGitOffersWhatAzureDevOpsNeeds(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one", "a": "a"})
	server := repo.serve()
	server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method == "POST" && !bytes.Contains(body, []byte("multi_ack")) {
			http.Error(w, "no", http.StatusBadRequest)
			return nil
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return w
	})
	s := open(t, server.url())
	revision := fetch(t, s, "").Revision
	repo.commit(map[string]string{"fleet.yaml": "two"})
	wantContents(t, fetch(t, s, revision).Tree, map[string]string{"fleet.yaml": "two", "a": "a"})
}

// TestGitNamesServersThatItCannotRead uses a file server, and a server that cannot
// leave out the history.
func TestGitNamesServersThatItCannotRead(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	repo.inBare("update-server-info")
	files := httptest.NewServer(http.FileServer(http.Dir(repo.root)))
	t.Cleanup(files.Close)
	fetchError(t, open(t, files.URL+"/repo.git"), "does not speak Git's protocol (dumb HTTP)", "git http-backend or over ssh")

	server := repo.serve()
	server.replaceInRefs(" shallow ", " sxallow ")
	fetchError(t, open(t, server.url()), "the server cannot send a commit without its history; it must offer shallow fetches")
}
