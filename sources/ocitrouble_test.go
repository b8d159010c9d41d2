package sources_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

func TestOCIOverTLS(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t, withTLS(false))
	server.oras(writeTree(t, map[string]string{"fleet.yaml": "one"}), "push", server.host+"/fleet:v1", "fleet.yaml")
	wantContents(t, fetch(t, server.open("fleet:v1"), "").Tree, map[string]string{"fleet.yaml": "one"})

	fetchError(t, openAs(t, server.url("fleet:v1"), sources.Options{}), "from an unknown authority", "--ca-file")
	another := sources.Options{TLS: sources.TLSOptions{CAFile: newTestTLS(t).caFile}}
	fetchError(t, openAs(t, server.url("fleet:v1"), another), "from an unknown authority", "--ca-file")
	plain := sources.Options{PlainHTTP: true}
	fetchError(t, openAs(t, server.url("fleet:v1"), plain), "400 Bad Request to plain http", "leave --plain-http out")
}

func TestOCISendsClientCertificate(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t, withTLS(true))
	server.oras(writeTree(t, map[string]string{"fleet.yaml": "one"}), "push", server.host+"/fleet:v1", "fleet.yaml")
	fetchError(t, server.open("fleet:v1"), "the registry closed the connection; if it requires a client certificate", "--client-cert-file and --client-key-file")
	o := server.options()
	o.TLS.CertFile, o.TLS.KeyFile = server.tls.certFile, server.tls.keyFile
	fetch(t, openAs(t, server.url("fleet:v1"), o), "")
}

// TestOCISpeaksPlainHTTPOnlyWhenAsked checks this for a loopback address too.
func TestOCISpeaksPlainHTTPOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	proxy := server.proxy()
	fetchError(t, openAs(t, "oci://"+proxy.host()+"/fleet:v1", sources.Options{}), "uses plain http", "--plain-http")
	if got := proxy.takeRequests(); len(got) > 0 {
		t.Errorf("%q were asked for over http", got)
	}
	fetch(t, openAs(t, "oci://"+proxy.host()+"/fleet:v1", sources.Options{PlainHTTP: true}), "")
}

func TestOCIRefusesDowngradeToHTTP(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	plain := server.proxy()
	files := newTestTLS(t)
	down := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	down.TLS = files.config(t)
	down.StartTLS()
	defer down.Close()
	o := sources.Options{TLS: sources.TLSOptions{CAFile: files.caFile}}
	fetchError(t, openAs(t, "oci://"+strings.TrimPrefix(down.URL, "https://")+"/fleet:v1", o), "redirects from https to http")
	if got := plain.takeRequests(); len(got) > 0 {
		t.Errorf("%q were asked for over http", got)
	}
}

func TestOCIListsTagsInErrors(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	for _, tag := range []string{"v1.0.0", "v1.1.0", "main"} {
		server.pushFlux("fleet:"+tag, someFiles)
	}
	err := fetchError(t, server.open("fleet:v9"), "oci artifact "+server.url("fleet"), "tag v9: not found", "v1.0.0", "v1.1.0", "main")
	if !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("error = %v, want a fleet.ErrNotFound", err)
	}
	err = fetchError(t, server.open("none:v9"), "oci artifact "+server.url("none"), "not found; check the name of the repository")
	if !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("error = %v, want a fleet.ErrNotFound", err)
	}
}

func TestOCIWaitsAsLongAsTheRegistryAsks(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	for name, c := range map[string]struct {
		status          int
		header          string
		atLeast, atMost time.Duration
	}{
		"429, seconds":       {http.StatusTooManyRequests, "120", 120 * time.Second, 120 * time.Second},
		"429, date":          {http.StatusTooManyRequests, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 50 * time.Minute, time.Hour},
		"429, date long ago": {http.StatusTooManyRequests, "Mon, 02 Jan 2006 15:04:05 GMT", 0, 0},
		"429 alone":          {http.StatusTooManyRequests, "", 0, 0},
		"429, nonsense":      {http.StatusTooManyRequests, "-5 or so", 0, 0},
		"503, seconds":       {http.StatusServiceUnavailable, "7", 7 * time.Second, 7 * time.Second},
	} {
		for _, path := range []string{"/manifests/v1", "/manifests/sha256", "/blobs/"} {
			t.Run(name+" "+path, func(t *testing.T) {
				proxy := server.proxy()
				proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.Path, path) {
						return false
					}
					w.Header().Set("Retry-After", c.header)
					http.Error(w, "go away", c.status)
					return true
				})
				s := openAs(t, "oci://"+proxy.host()+"/fleet:v1", server.options())
				var retry *fleet.RetryError
				if err := fetchError(t, s, http.StatusText(c.status)); !errors.As(err, &retry) || retry.After < c.atLeast || retry.After > c.atMost {
					t.Errorf("error = %#v, want a fleet.RetryError after %s", err, c.atLeast)
				}
				before := len(proxy.takeRequests())
				proxy.intercept(nil)
				fetch(t, s, "")
				if before > 3 {
					t.Errorf("%d requests were made to a registry that asked for none", before)
				}
			})
		}
	}
}

// TestOCIRecovers lets one request fail and the next one succeed, before
// anything was read and after.
func TestOCIRecovers(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	hangUp := func(w http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) }
	answer := func(status int, text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, text, status)
			return true
		}
	}
	const page = "a page\nwith https://user:hunter2@host/?token=hunter2 in it"
	told := `{"errors":[{"code":"UNAVAILABLE","message":"see\nhttps://user:hunter2@host/?token=hunter2","detail":{"x":1}}]}`
	for name, c := range map[string]struct {
		intercept func(http.ResponseWriter, *http.Request) bool
		want      string
	}{
		"hang up":      {hangUp, ""},
		"500":          {answer(500, page), "500 Internal Server Error"},
		"502, told":    {answer(502, told), "502 Bad Gateway"},
		"200 and HTML": {answer(200, page), ""},
		"404":          {answer(404, page), "not found"},
	} {
		for _, path := range []string{"/manifests/main", "/manifests/sha256", "/blobs/"} {
			t.Run(name+" "+path, func(t *testing.T) {
				server.pushFlux("fleet:main", map[string]string{"fleet.yaml": "one"})
				proxy := server.proxy()
				s := openAs(t, "oci://"+proxy.host()+"/fleet:main", server.options())
				known := ""
				for _, content := range []string{"two", "three"} {
					server.pushFlux("fleet:main", map[string]string{"fleet.yaml": content})
					proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
						return strings.Contains(r.URL.Path, path) && c.intercept(w, r)
					})
					_, err := s.Fetch(deadline(t), known)
					wantText(t, err, "oci artifact ", c.want)
					if _, ok := refusedRevision(err); ok {
						t.Errorf("error = %v, want none that blames the artifact", err)
					}
					if strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
						t.Errorf("error = %q, want one line without a secret", err)
					}
					proxy.intercept(nil)
					snapshot := fetch(t, s, known)
					wantContents(t, snapshot.Tree, map[string]string{"fleet.yaml": content})
					known = snapshot.Revision
				}
			})
		}
	}
}

func TestOCIGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	for _, path := range []string{"/manifests/v1", "/manifests/sha256", "/blobs/"} {
		t.Run(path, func(t *testing.T) {
			proxy := server.proxy()
			hung := make(chan struct{}, 10)
			proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, path) {
					return false
				}
				if path == "/blobs/" { // It stalls in the middle of the blob.
					w.WriteHeader(http.StatusOK)
					_ = http.NewResponseController(w).Flush()
				}
				hung <- struct{}{}
				<-r.Context().Done()
				return true
			})
			s := openAs(t, "oci://"+proxy.host()+"/fleet:v1", server.options())
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-hung
				cancel()
			}()
			if _, err := s.Fetch(ctx, ""); !errors.Is(err, context.Canceled) {
				t.Errorf("Fetch = %v, want context.Canceled", err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := s.Fetch(ctx, "")
			if wantText(t, err, "no answer in time"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Fetch = %v, want context.DeadlineExceeded", err)
			}
		})
	}
}

// endedContext ends between two steps, when nothing waits for it.
type endedContext struct{ context.Context }

func (endedContext) Err() error { return context.Canceled }

func TestOCICanceledFetchIsNotAFault(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	s := server.open("fleet:v1")
	if _, err := s.Fetch(endedContext{t.Context()}, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch = %v, want context.Canceled", err)
	}
	fetch(t, s, "")
}

func TestOCIRegistryThatIsDown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	host := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	err := fetchError(t, openAs(t, "oci://"+host+"/fleet:v1", sources.Options{PlainHTTP: true}), "oci artifact oci://"+host+"/fleet", "connection refused")
	if _, ok := refusedRevision(err); ok {
		t.Errorf("error = %v, want none that blames the artifact", err)
	}
}

// TestOCIFallsBackFromHEADToGET uses registries that do not follow the
// specification, which Flux tolerates.
func TestOCIFallsBackFromHEADToGET(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	digest := server.pushFlux("fleet:v1", someFiles)
	for name, head := range map[string]func(w http.ResponseWriter){
		"not allowed":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusMethodNotAllowed) },
		"not implemented": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotImplemented) },
		"no digest": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Content-Length", "100")
		},
		"no type": func(w http.ResponseWriter) { w.Header().Set("Docker-Content-Digest", digest) },
	} {
		t.Run(name, func(t *testing.T) {
			proxy := server.proxy()
			proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodHead {
					head(w)
				}
				return r.Method == http.MethodHead
			})
			s := openAs(t, "oci://"+proxy.host()+"/fleet:v1", server.options())
			snapshot := fetch(t, s, "")
			if snapshot.Revision != "v1@"+digest {
				t.Errorf("revision = %q, want v1@%s", snapshot.Revision, digest)
			}
			wantContents(t, snapshot.Tree, someFiles)
			fetchNothing(t, s, snapshot.Revision)
		})
	}
}
