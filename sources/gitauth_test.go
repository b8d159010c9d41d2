package sources_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

const secretToken = "hunter2hunter2"

// tokenFile writes a secret to a file, with a newline at its end as people
// write it.
func tokenFile(t *testing.T, secret string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	return file
}

func withToken(file string) sources.Options {
	return sources.Options{Git: sources.GitOptions{TokenFile: file}}
}

// guard accepts requests with one of the Authorization headers, and challenges
// others.
func (s *gitServer) guard(challenges []string, admitted ...string) {
	s.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if slices.Contains(admitted, r.Header.Get("Authorization")) {
			return w
		}
		for _, c := range challenges {
			w.Header().Add("WWW-Authenticate", c)
		}
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	})
}

func basic(user, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func TestGitSendsToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user, want string
		challenges []string
		first      []string
	}{
		"basic":           {"", basic("git", secretToken), []string{`Basic realm="x"`}, []string{"GET refs", "POST git-upload-pack"}},
		"basic with user": {"jo", basic("jo", secretToken), []string{`Basic realm="x"`}, []string{"GET refs", "POST git-upload-pack"}},
		"no challenge":    {"", basic("git", secretToken), nil, []string{"GET refs", "POST git-upload-pack"}},
		"bearer":          {"", "Bearer " + secretToken, []string{`Bearer realm="x"`}, []string{"GET refs", "GET refs", "POST git-upload-pack"}},
		"either":          {"", basic("git", secretToken), []string{`Bearer`, `Basic realm="x"`}, []string{"GET refs", "POST git-upload-pack"}},
		"either in one":   {"", basic("git", secretToken), []string{`Bearer a="b", Basic realm="x"`}, []string{"GET refs", "POST git-upload-pack"}},
	} {
		t.Run(name, func(t *testing.T) {
			repo := newGitRepo(t)
			repo.commit(map[string]string{"fleet.yaml": "one"})
			server := repo.serve()
			server.guard(c.challenges, c.want)
			o := withToken(tokenFile(t, secretToken))
			o.Git.Username = c.user
			s := openAs(t, server.url(), o)
			revision := fetch(t, s, "").Revision
			if got, _ := server.takeRequests(); !slices.Equal(got, c.first) {
				t.Errorf("the first fetch made requests %q, want %q", got, c.first)
			}
			for range 2 {
				fetchNothing(t, s, revision)
				if got, _ := server.takeRequests(); !slices.Equal(got, []string{"GET refs"}) {
					t.Errorf("a look made requests %q, want one", got)
				}
			}
		})
	}
}

func TestGitLearnsTheAuthenticationScheme(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := openAs(t, server.url(), withToken(tokenFile(t, secretToken)))
	for range 2 {
		server.guard([]string{"Bearer"}, "Bearer "+secretToken)
		fetch(t, s, "")
		server.guard([]string{"Basic"}, basic("git", secretToken))
		fetch(t, s, "")
	}
}

func TestGitReadsTokenAgain(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	server.guard([]string{"Basic"}, basic("git", "old"))
	file := tokenFile(t, "old")
	s := openAs(t, server.url(), withToken(file))
	revision := fetch(t, s, "").Revision

	server.guard([]string{"Basic"}, basic("git", "new"))
	if err := fetchError(t, s, "does not accept the token in --git-token-file"); !errors.Is(err, fleet.ErrUnauthenticated) {
		t.Errorf("error = %v, want a fleet.ErrUnauthenticated", err)
	}
	must(t, os.WriteFile(file, []byte("new\r\n"), 0o600))
	fetchNothing(t, s, revision)
}

func TestGitRefusesInvalidTokenFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	s := openAs(t, "https://127.0.0.1:1/repo.git", withToken(file))
	fetchError(t, s, "--git-token-file", file, "no such file")
	for content, want := range map[string]string{"": "is empty", "\n\n": "is empty", "hunter2\nhunter2\n": "more than one line"} {
		must(t, os.WriteFile(file, []byte(content), 0o600))
		if err := fetchError(t, s, "--git-token-file", file, want); strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %q tells a secret", err)
		}
	}
}

// TestGitReportsWrongCredentials uses servers that repeat the
// credentials they got.
func TestGitReportsWrongCredentials(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	none, some := open(t, server.url()), openAs(t, server.url(), withToken(tokenFile(t, secretToken)))
	for _, c := range []struct {
		s      sources.Source
		status int
		is     error
		want   string
	}{
		{none, 401, fleet.ErrUnauthenticated, "put a token into a file, and name the file with --git-token-file"},
		{none, 403, fleet.ErrForbidden, "put a token into a file, and name the file with --git-token-file"},
		{none, 404, fleet.ErrNotFound, "or name some with --git-token-file"},
		{some, 401, fleet.ErrUnauthenticated, "does not accept the token in --git-token-file"},
		{some, 403, fleet.ErrForbidden, "the token in --git-token-file may not read the repository"},
		{some, 404, fleet.ErrNotFound, "check the URL, and that the token in --git-token-file may read"},
	} {
		for _, method := range []string{"GET", "POST"} {
			server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
				if r.Method != method {
					return w
				}
				http.Error(w, r.Header.Get("Authorization")+secretToken, c.status)
				return nil
			})
			err := fetchError(t, c.s, c.want)
			if !errors.Is(err, c.is) {
				t.Errorf("on %d, error = %v, want %v", c.status, err, c.is)
			}
			if strings.Contains(err.Error(), secretToken) {
				t.Errorf("error %q tells the token", err)
			}
		}
	}
}

func TestGitSendsNoTokenUnencrypted(t *testing.T) {
	t.Parallel()
	o := withToken(tokenFile(t, secretToken))
	_, err := sources.Open("http://git.example.com/repo.git", o)
	wantText(t, err, "unencrypted", "--plain-http")
	if !errors.Is(err, fleet.ErrInvalid) {
		t.Errorf("error = %v, want a fleet.ErrInvalid", err)
	}
	_, err = sources.Open("http://127.0.0.1.example.com/repo.git", o)
	wantText(t, err, "unencrypted")
	for _, ref := range []string{"https://git.example.com/r", "http://localhost/r", "http://127.0.0.2:80/r", "http://[::1]/r"} {
		openAs(t, ref, o)
	}
	o.PlainHTTP = true
	openAs(t, "http://git.example.com/repo.git", o)
}

// headers records the Authorization headers of all requests.
type headers struct {
	mu  sync.Mutex
	all []string
}

func (h *headers) keep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.all = append(h.all, r.Method+" "+r.Header.Get("Authorization"))
		h.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (h *headers) taken() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.all
	h.all = nil
	return all
}

// TestGitSendsNoTokenToAnotherHost redirects to another server, which may be
// another port or another name of the same machine.
func TestGitSendsNoTokenToAnotherHost(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	backend := repo.serve()
	var seen headers
	elsewhere := httptest.NewServer(seen.keep(backend.Config.Handler))
	defer elsewhere.Close()
	for _, to := range []string{elsewhere.URL, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)} {
		var shown headers
		moved := httptest.NewServer(shown.keep(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, to+r.URL.RequestURI(), http.StatusFound)
		})))
		defer moved.Close()
		options := withToken(tokenFile(t, secretToken))
		options.Git.RedirectHosts = []string{"localhost"}
		s := openAs(t, moved.URL+"/repo.git", options)
		fetch(t, s, "")
		if got, want := seen.taken(), []string{"GET ", "POST "}; !slices.Equal(got, want) {
			t.Errorf("the other server was shown %q, want %q", got, want)
		}
		if got, want := shown.taken(), []string{"GET " + basic("git", secretToken)}; !slices.Equal(got, want) {
			t.Errorf("the first server was shown %q, want %q", got, want)
		}

		// It is not sent even if the other server asks for it.
		for _, scheme := range []string{"Basic", "Bearer"} {
			backend.guard([]string{scheme})
			fetchError(t, s, "has moved to "+strings.TrimPrefix(to, "http://"), "use its new URL")
			if got, want := seen.taken(), []string{"GET "}; !slices.Equal(got, want) {
				t.Errorf("the other server was shown %q, want %q", got, want)
			}
		}
		backend.intercept(nil)
	}
}

func TestGitSendsNoTokenAfterDowngrade(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	var seen headers
	clear := httptest.NewServer(seen.keep(repo.serve().Config.Handler))
	defer clear.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, clear.URL+r.URL.RequestURI(), http.StatusFound)
	}))
	defer secure.Close()
	fetchError(t, openAs(t, secure.URL+"/repo.git", withToken(tokenFile(t, secretToken))), "redirect")
	if got := seen.taken(); len(got) > 0 {
		t.Errorf("the other server was shown %q, want nothing", got)
	}
}

func TestGitReportsRetryAfter(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serve()
	s := open(t, server.url())
	for _, c := range []struct {
		status int
		header string
		most   time.Duration
	}{
		{429, "120", 2 * time.Minute},
		{503, "120", 2 * time.Minute},
		{429, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), time.Hour},
		{429, "", 0},
		{503, "soon", 0},
		{503, "-5", 0},
		{500, "120", 0},
		{429, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0},
	} {
		for _, method := range []string{"GET", "POST"} {
			server.intercept(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
				if r.Method != method {
					return w
				}
				w.Header().Set("Retry-After", c.header)
				w.WriteHeader(c.status)
				return nil
			})
			err := fetchError(t, s, "the server answered")
			var told *fleet.RetryError
			if found := errors.As(err, &told); found != (c.most > 0) {
				t.Errorf("on %d with %q, error = %v, want a fleet.RetryError: %v", c.status, c.header, err, c.most > 0)
			} else if found && (told.After > c.most || told.After < c.most-testTimeout) {
				t.Errorf("on %d with %q, to be left alone for %v, want %v", c.status, c.header, told.After, c.most)
			}
		}
	}
}
