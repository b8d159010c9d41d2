package sources_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/push"
)

var pushedFiles = map[string]string{
	"fleet.yaml": "kind: Fleet\n", "base/a.yaml": "a: 1\n", "base/deep/b.yaml": "", "clusters/zürich.yaml": "kind: Cluster\n",
	".helmignore": "*.log\n", "docs/logo.bin": "\x89PNG",
}

// pushOptions are the options for pushing to the registry.
func (r *registryServer) pushOptions() push.Options {
	return push.Options{Options: r.options(), Source: "https://git.example.com/fleet", Revision: "main@sha1:" + strings.Repeat("a", 40)}
}

func (r *registryServer) push(dir, reference string) push.Result {
	r.t.Helper()
	return r.pushWith(dir, reference, r.pushOptions())
}

func (r *registryServer) pushWith(dir, reference string, o push.Options) push.Result {
	r.t.Helper()
	pushed, err := push.Push(r.t.Context(), dir, r.url(reference), o)
	if err != nil {
		r.t.Fatalf("Push(%q): %v", reference, err)
	}
	return pushed
}

// pushError expects Push to fail with an error that contains all of want.
func (r *registryServer) pushError(dir, reference string, o push.Options, want ...string) error {
	r.t.Helper()
	pushed, err := push.Push(r.t.Context(), dir, r.url(reference), o)
	if err == nil {
		r.t.Fatalf("Push(%q) = %+v, want an error with %q", reference, pushed, want)
	}
	wantText(r.t.(*testing.T), err, want...)
	return err
}

func TestPushIsPulledByOras(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t, withPassword("ci", "secret"), withTLS(false))
	dir := writeTree(t, pushedFiles)
	must(t, os.Chmod(filepath.Join(dir, "base/a.yaml"), 0o755))
	pushed := r.push(dir, "fleet:v1")
	for _, reference := range []string{r.host + "/fleet:v1", pushed.Reference} {
		into := t.TempDir()
		r.oras(into, "pull", reference)
		wantContents(t, os.DirFS(into), pushedFiles)
		for name, want := range map[string]fs.FileMode{"base/a.yaml": 0o100, "fleet.yaml": 0} {
			info, err := os.Stat(filepath.Join(into, name))
			must(t, err)
			if got := info.Mode() & 0o100; got != want {
				t.Errorf("%s is executable: %o, want %o", name, got, want)
			}
		}
	}
}

func TestPushIsReadByTributary(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	dir := writeTree(t, pushedFiles)
	pushed := r.push(dir, "team/fleet:v1")
	snapshot := fetch(t, r.open("team/fleet:v1"), "")
	wantContents(t, snapshot.Tree, pushedFiles)
	if want := "v1@" + pushed.Digest; snapshot.Revision != want {
		t.Errorf("revision = %q, want %q", snapshot.Revision, want)
	}
	if want := r.host + "/team/fleet:v1@" + pushed.Digest; pushed.Reference != want || pushed.Repository != r.host+"/team/fleet" || pushed.Files != len(pushedFiles) || pushed.Size == 0 {
		t.Errorf("pushed = %+v, want %q of %d files", pushed, want, len(pushedFiles))
	}
}

// TestPushCreatesTheSameAsFlux compares with the result of flux push artifact v2.
func TestPushCreatesTheSameAsFlux(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	o := r.pushOptions()
	o.Created = time.Date(2026, 1, 2, 5, 4, 5, 6, time.FixedZone("", 2*60*60))
	o.Annotations = map[string]string{"org.opencontainers.image.licenses": "Apache-2.0"}
	r.pushWith(writeTree(t, pushedFiles), "fleet:v1", o)
	var m struct {
		SchemaVersion int
		MediaType     string
		Config        struct{ MediaType, Digest string }
		Layers        []struct{ MediaType string }
		Annotations   map[string]string
	}
	must(t, json.Unmarshal([]byte(r.oras(t.TempDir(), "manifest", "fetch", r.host+"/fleet:v1")), &m))
	if m.SchemaVersion != 2 || m.MediaType != "application/vnd.oci.image.manifest.v1+json" || len(m.Layers) != 1 ||
		m.Config.MediaType != "application/vnd.cncf.flux.config.v1+json" || m.Layers[0].MediaType != "application/vnd.cncf.flux.content.v1.tar+gzip" {
		t.Errorf("manifest = %+v, want the media types of Flux, and one layer", m)
	}
	want := map[string]string{
		"org.opencontainers.image.source": o.Source, "org.opencontainers.image.revision": o.Revision,
		"org.opencontainers.image.created": "2026-01-02T03:04:05Z", "org.opencontainers.image.licenses": "Apache-2.0",
	}
	if !maps.Equal(m.Annotations, want) {
		t.Errorf("annotations = %q, want %q", m.Annotations, want)
	}
	config := r.oras(t.TempDir(), "blob", "fetch", "--output", "-", r.host+"/fleet@"+m.Config.Digest)
	if !json.Valid([]byte(config)) || !strings.HasPrefix(config, `{"architecture":`) {
		t.Errorf("config = %q, want that of an image", config)
	}
}

func TestPushSameTreeHasSameDigest(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	first := r.push(writeTree(t, pushedFiles), "one:v1")
	dir := filepath.Join(t.TempDir(), "else where")
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(pushedFiles))) {
		file := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, []byte(pushedFiles[name]), 0o600))
		past := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
		must(t, os.Chtimes(file, past, past))
	}
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	if second := r.push(dir, "two:v2"); second.Digest != first.Digest {
		t.Errorf("digest = %s, want %s as from another directory", second.Digest, first.Digest)
	}
	write(t, dir, "base/a.yaml", "a: 2\n")
	if third := r.push(dir, "two:v2"); third.Digest == first.Digest {
		t.Errorf("digest = %s, want another one for another tree", third.Digest)
	}
}

func TestPushSendsNothingTwice(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	proxy := r.proxy()
	dir := writeTree(t, pushedFiles)
	push := func(tags ...string) (writes []string) {
		o := r.pushOptions()
		o.Tags = tags[1:]
		_, err := push.Push(t.Context(), dir, "oci://"+proxy.host()+"/fleet:"+tags[0], o)
		must(t, err)
		for _, request := range proxy.takeRequests() {
			if !strings.HasPrefix(request, "HEAD ") && !strings.HasPrefix(request, "GET ") {
				writes = append(writes, request)
			}
		}
		return writes
	}
	if writes := push("v1"); len(writes) != 5 || writes[4] != "PUT /v2/fleet/manifests/v1" {
		t.Errorf("first push wrote %q, want two blobs and then the manifest", writes)
	}
	// Some registries refuse to set a tag twice.
	if writes := push("v1"); len(writes) != 0 {
		t.Errorf("push of the same wrote %q, want nothing", writes)
	}
	if writes := push("v1", "v2", "v1", "v3"); !slices.Equal(writes, []string{"PUT /v2/fleet/manifests/v2", "PUT /v2/fleet/manifests/v3"}) {
		t.Errorf("push of the same under other tags wrote %q, want the tags alone", writes)
	}
	if writes := push("v4"); !slices.Equal(writes, []string{"PUT /v2/fleet/manifests/v4"}) {
		t.Errorf("push of the same under another tag wrote %q, want the tag alone", writes)
	}
}

func TestPushPutsTagsInTheirOrder(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	proxy := r.proxy()
	proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/fixed") {
			http.Error(w, `{"errors":[{"code":"TAG_INVALID","message":"tag is immutable"}]}`, http.StatusBadRequest)
			return true
		}
		return false
	})
	o := r.pushOptions()
	o.PlainHTTP, o.Tags = true, []string{"v1", "main", "fixed", "latest"}
	dir := writeTree(t, pushedFiles)
	_, err := push.Push(t.Context(), dir, "oci://"+proxy.host()+"/fleet:v1", o)
	wantText(t, err, "/fleet:fixed: ", "400 Bad Request", "(tags pushed before: v1, main)")
	if got := strings.Fields(r.oras(dir, "repo", "tags", r.host+"/fleet")); len(got) != 2 || !slices.Contains(got, "v1") || !slices.Contains(got, "main") {
		t.Errorf("tags = %q, want main and v1", got)
	}
	o.Tags = []string{"main", "latest", "v1"}
	pushed := r.pushWith(dir, "fleet:v1", o)
	if want := []string{"v1", "main", "latest"}; !slices.Equal(pushed.Tags, want) {
		t.Errorf("tags = %q, want %q", pushed.Tags, want)
	}
	for _, tag := range pushed.Tags {
		if got := r.oras(dir, "resolve", r.host+"/fleet:"+tag); got != pushed.Digest {
			t.Errorf("%s leads to %s, want %s", tag, got, pushed.Digest)
		}
	}
}

func TestPushRetriesAfterErrors(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	proxy := r.proxy()
	answers := map[string][]int{
		"HEAD":  {http.StatusTooManyRequests, http.StatusTooManyRequests},
		"POST":  {http.StatusBadGateway},
		"PUT":   {http.StatusServiceUnavailable, http.StatusInternalServerError},
		"PATCH": nil,
	}
	proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		left := answers[r.Method]
		if len(left) == 0 {
			return false
		}
		answers[r.Method] = left[1:]
		w.WriteHeader(left[0])
		return true
	})
	var last, total int64
	o := r.pushOptions()
	o.Progress = func(done, of int64) { last, total = done, of }
	_, err := push.Push(t.Context(), writeTree(t, pushedFiles), "oci://"+proxy.host()+"/fleet:v1", o)
	must(t, err)
	wantContents(t, fetch(t, r.open("fleet:v1"), "").Tree, pushedFiles)
	if last != total || total == 0 {
		t.Errorf("progress ends at %d of %d, want all", last, total)
	}
}

// TestPushStartsAnUploadOver breaks the connection while a blob is sent, and
// after its last byte.
func TestPushStartsAnUploadOver(t *testing.T) {
	t.Parallel()
	for name, passOn := range map[string]bool{"on the way": false, "after the last of it": true} {
		t.Run(name, func(t *testing.T) {
			r := newRegistryServer(t)
			proxy := r.proxy()
			cut := false
			proxy.intercept(func(w http.ResponseWriter, request *http.Request) bool {
				if cut || request.Method != http.MethodPut || !strings.Contains(request.URL.Path, "/blobs/uploads/") {
					return false
				}
				cut = true
				if passOn {
					_, err := http.DefaultTransport.RoundTrip(r.directly(request))
					must(t, err)
				}
				panic(http.ErrAbortHandler)
			})
			_, err := push.Push(deadline(t), writeTree(t, pushedFiles), "oci://"+proxy.host()+"/fleet:v1", r.pushOptions())
			must(t, err)
			wantContents(t, fetch(t, r.open("fleet:v1"), "").Tree, pushedFiles)
		})
	}
}

// directly returns a request to a proxy as a request to the registry.
func (r *registryServer) directly(request *http.Request) *http.Request {
	to := request.Clone(request.Context())
	to.RequestURI, to.URL.Scheme, to.URL.Host = "", "http", r.host
	return to
}

func TestPushDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	proxy := r.proxy()
	proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	_, err := push.Push(deadline(t), writeTree(t, pushedFiles), "oci://"+proxy.host()+"/fleet:v1", r.pushOptions())
	wantText(t, err, "429 Too Many Requests")
	if got := proxy.takeRequests(); len(got) != 1 {
		t.Errorf("asked %q, want one request", got)
	}
}

func TestPushReportsProgress(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	var steps []int64
	o := r.pushOptions()
	o.Progress = func(done, total int64) {
		if done > total || len(steps) > 0 && done < steps[len(steps)-1] {
			t.Errorf("progress went from %v to %d of %d", steps, done, total)
		}
		steps = append(steps, done)
	}
	dir := writeTree(t, pushedFiles)
	r.pushWith(dir, "fleet:v1", o)
	if len(steps) < 4 || steps[0] != 0 {
		t.Errorf("progress = %v, want it from 0 in several steps", steps)
	}
	last := steps[len(steps)-1]
	steps = nil
	r.pushWith(dir, "fleet:v1", o)
	if !slices.Equal(steps, []int64{last}) {
		t.Errorf("progress where all is there = %v, want %d at once", steps, last)
	}
}

func TestPushRefusedByTheRegistry(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t, withPassword("ci", "secret"))
	dir := writeTree(t, pushedFiles)
	o := r.pushOptions()
	o.OCI.ConfigFile = dockerConfigFile(t, nil)
	if err := r.pushError(dir, "fleet:v1", o, "oci artifact oci://"+r.host+"/fleet:v1: ", "user and password", "--registry-config"); !errors.Is(err, fleet.ErrUnauthenticated) {
		t.Errorf("error = %v, want a fleet.ErrUnauthenticated", err)
	}
	o.OCI.ConfigFile = dockerConfigFile(t, map[string]string{r.host: "ci:guessed"})
	if err := r.pushError(dir, "fleet:v1", o, "does not accept the credentials"); strings.Contains(err.Error(), "guessed") {
		t.Errorf("error = %v, which repeats the password", err)
	}
	open := newRegistryServer(t)
	proxy := open.proxy()
	proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusForbidden)
		}
		return r.Method == http.MethodPost
	})
	_, err := push.Push(t.Context(), dir, "oci://"+proxy.host()+"/fleet:v1", open.pushOptions())
	wantText(t, err, "may not write to fleet")
	if !errors.Is(err, fleet.ErrForbidden) {
		t.Errorf("error = %v, want a fleet.ErrForbidden", err)
	}
}

func TestPushWithoutTLSOnlyWhereAllowed(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	o := r.pushOptions()
	o.PlainHTTP = false
	r.pushError(writeTree(t, pushedFiles), "fleet:v1", o, "--plain-http")
}

func TestPushRefusesInvalidTargets(t *testing.T) {
	t.Parallel()
	dir := writeTree(t, pushedFiles)
	digest := "sha256:" + strings.Repeat("a", 64)
	for target, want := range map[string]string{
		"oci://registry.example.com/fleet":                "names no tag: write oci://registry.example.com/fleet:tag",
		"oci://registry.example.com:5000/fleet":           "names no tag",
		"oci://registry.example.com/fleet@" + digest:      "names a digest",
		"oci://registry.example.com/fleet:v1@" + digest:   "names a digest",
		"oci://registry.example.com/fleet?semver=1.x":     "has parameters",
		"oci://registry.example.com/fleet:v1?path=a":      "has parameters",
		"oci://registry.example.com/fleet:v1?layer=a/b":   "has parameters",
		"oci://registry.example.com/Fleet:v1":             "target repository Fleet is not valid",
		"oci://registry.example.com/fleet:v 1":            "target tag v 1 is not valid",
		"oci://user:pass@registry.example.com/fleet:v1":   "target contains credentials",
		"registry.example.com/fleet:v1":                   "is not an OCI artifact: write oci://",
		"https://git.example.com/fleet.git":               "target https://git.example.com/fleet.git is not an OCI artifact",
		"":                                                "target is empty",
		"oci://registry.example.com/fleet:v1?ref=main":    "query parameter ref is not known",
		"oci://registry.example.com/fleet:latest#sidecar": "fragment",
	} {
		_, err := push.Push(t.Context(), dir, target, push.Options{})
		wantText(t, err, want)
		if !errors.Is(err, fleet.ErrInvalid) || strings.Contains(err.Error(), "SOURCE") || strings.Contains(err.Error(), "pass@") {
			t.Errorf("Push(%q) = %v, want a fleet.ErrInvalid of the target", target, err)
		}
	}
}

func TestPushRefusesInvalidOptions(t *testing.T) {
	t.Parallel()
	dir := writeTree(t, pushedFiles)
	for want, o := range map[string]push.Options{
		"tag v:1 is not valid":              {Tags: []string{"v2", "v:1"}},
		"use --revision instead":            {Annotations: map[string]string{"org.opencontainers.image.revision": "x"}},
		"an annotation has no name":         {Annotations: map[string]string{"": "x"}},
		"both a certificate file and a key": {Options: sources.Options{TLS: sources.TLSOptions{CertFile: "x"}}},
	} {
		_, err := push.Push(t.Context(), dir, "oci://registry.example.com/fleet:v1", o)
		wantText(t, err, want)
		if !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("error = %v, want a fleet.ErrInvalid", err)
		}
	}
	for dir, want := range map[string]string{
		"https://git.example.com/fleet.git":     "must be a directory",
		"oci://registry.example.com/fleet:v1":   "must be a directory",
		filepath.Join(dir, "absent"):            "does not exist",
		filepath.Join(dir, "fleet.yaml"):        "is not a directory",
		"git@git.example.com:acme/fleet.git":    "must be a directory",
		"https://u:p@git.example.com/fleet.git": "must be a directory",
	} {
		_, err := push.Push(t.Context(), dir, "oci://registry.example.com/fleet:v1", push.Options{})
		wantText(t, err, want)
	}
}

func TestPushRefusesTreesThatDifferElsewhere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"link out":     {map[string]string{"a": "-> ../../etc/passwd"}, "a: symbolic link to ../../etc/passwd leads out"},
		"absolute":     {map[string]string{"a": "-> /etc/passwd"}, "a: symbolic link to /etc/passwd leads out"},
		"dangling":     {map[string]string{"dir/a": "-> b"}, "dir/a: symbolic link to b leads to nothing"},
		"circle":       {map[string]string{"a": "-> b", "b": "-> a"}, "in a circle"},
		"around":       {map[string]string{"dir/a": "a", "dir/up": "-> .."}, "dir/up: symbolic link to .. leads to a directory that contains it"},
		"around twice": {map[string]string{"one/x": "-> ../two", "two/y": "-> ../one"}, "leads to a directory that contains it"},
		"nothing":      {map[string]string{}, "contains no files"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := push.Push(t.Context(), writeTree(t, test.files), "oci://registry.example.com/fleet:v1", push.Options{})
			wantText(t, err, test.want)
			if revision, ok := refusedRevision(err); !ok || revision != "local" {
				t.Errorf("error = %v of %q, want a fleet.RefusedError of local", err, revision)
			}
		})
	}
	dir := writeTree(t, pushedFiles)
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	_, err := push.Push(deadline(t), dir, "oci://registry.example.com/fleet:v1", push.Options{})
	wantText(t, err, "fifo: is not a regular file")
}

func TestPushCopiesLinkTargets(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	dir := writeTree(t, map[string]string{
		"base/a.yaml": "a", "base/b.yaml": "-> a.yaml", "overlays/base": "-> ../base", "overlays/x/deep": "-> ../base/b.yaml",
	})
	r.push(dir, "fleet:v1")
	want := map[string]string{
		"base/a.yaml": "a", "base/b.yaml": "a", "overlays/base/a.yaml": "a", "overlays/base/b.yaml": "a", "overlays/x/deep": "a",
	}
	wantContents(t, fetch(t, r.open("fleet:v1"), "").Tree, want)
	into := t.TempDir()
	r.oras(into, "pull", r.host+"/fleet:v1")
	wantContents(t, os.DirFS(into), want)
}

// TestPushBoundsCopiesOfLinks uses a few links that expand to many files.
func TestPushBoundsCopiesOfLinks(t *testing.T) {
	t.Parallel()
	files := map[string]string{"d9/a": "a"}
	for i := range 9 {
		for _, name := range []string{"a", "b", "c", "d"} {
			files["d"+string(rune('0'+i))+"/"+name] = "-> ../d" + string(rune('1'+i))
		}
	}
	o := push.Options{Options: sources.Options{Limits: sources.Limits{Files: 5000}}}
	_, err := push.Push(deadline(t), writeTree(t, files), "oci://registry.example.com/fleet:v1", o)
	wantText(t, err, "more than 5000 files")
}

// TestPushKeepsLFSPointers uses a pointer that nothing needs, as in a checkout
// without Git LFS.
func TestPushKeepsLFSPointers(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("a", 64) + "\nsize 5\n"
	dir := writeTree(t, map[string]string{"fleet.yaml": "a", "logo": pointer})
	r.push(dir, "fleet:v1")
	into := t.TempDir()
	r.oras(into, "pull", r.host+"/fleet:v1")
	wantContents(t, os.DirFS(into), map[string]string{"fleet.yaml": "a", "logo": pointer})
}

func TestPushSendsNothingBeforeTheCheck(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	proxy := r.proxy()
	dir := writeTree(t, map[string]string{"fleet.yaml": "one", "link": "-> fleet.yaml"})
	refuse := errors.New("not this one")
	var checked *fleet.Snapshot
	o := r.pushOptions()
	o.Check = func(_ context.Context, snapshot *fleet.Snapshot) error {
		checked = snapshot
		return refuse
	}
	if _, err := push.Push(t.Context(), dir, "oci://"+proxy.host()+"/fleet:v1", o); !errors.Is(err, refuse) {
		t.Errorf("Push = %v, want the error of the check", err)
	}
	if got := proxy.takeRequests(); len(got) != 0 {
		t.Errorf("asked %q before the check, want nothing", got)
	}
	wantContents(t, checked.Tree, map[string]string{"fleet.yaml": "one", "link": "one"})
	if !regexp.MustCompile(`^local@sha256:[0-9a-f]{64}$`).MatchString(checked.Revision) {
		t.Errorf("revision = %q, want a local one", checked.Revision)
	}
	// Changes after the check are not pushed.
	o.Check = func(context.Context, *fleet.Snapshot) error {
		write(t, dir, "fleet.yaml", "two")
		return nil
	}
	r.pushWith(dir, "fleet:v1", o)
	wantContents(t, fetch(t, r.open("fleet:v1"), "").Tree, map[string]string{"fleet.yaml": "one", "link": "one"})
}

func TestPushEndsWithContext(t *testing.T) {
	t.Parallel()
	r := newRegistryServer(t)
	proxy := r.proxy()
	ctx, cancel := context.WithCancel(t.Context())
	proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	if _, err := push.Push(ctx, writeTree(t, pushedFiles), "oci://"+proxy.host()+"/fleet:v1", r.pushOptions()); !errors.Is(err, context.Canceled) {
		t.Errorf("Push = %v, want context.Canceled", err)
	}
}
