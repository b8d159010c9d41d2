package sources_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// TestOCIReadsOtherRefs uses sources that follow a tag, a range or a digest,
// sources that have read something and one that never can. The registry
// requires a password.
func TestOCIReadsOtherRefs(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t, withPassword("jo", "secret"))
	push := func(tag, content string) string {
		dir := writeTree(t, map[string]string{"fleet.yaml": content, "a.yaml": "a"})
		return digestOf(t, server.oras(dir, "push", server.host+"/fleet:"+tag, "fleet.yaml", "a.yaml"))
	}
	first, second, feature := push("v1.0.0", "one"), push("v1.1.0", "two"), push("feature", "feature")
	for _, reference := range []string{"fleet:v1.0.0", "fleet?semver=1.x", "fleet@" + first, "fleet:gone"} {
		s := server.open(reference)
		known := ""
		if reference != "fleet:gone" {
			known = fetch(t, s, "").Revision
		}
		for ref, want := range map[string]struct{ revision, content string }{
			"v1.0.0":     {"v1.0.0@" + first, "one"},
			"v1.1.0":     {"v1.1.0@" + second, "two"},
			"feature":    {"feature@" + feature, "feature"},
			feature:      {feature, "feature"},
			"semver:1.0": {"v1.0.0@" + first, "one"},
		} {
			wantContents(t, at(t, s, ref, want.revision).Tree, map[string]string{"fleet.yaml": want.content, "a.yaml": "a"})
		}
		if known != "" {
			fetchNothing(t, s, known)
			wantShared(t, fetch(t, s, "").Tree, at(t, s, feature, feature).Tree, "a.yaml", true)
		}
	}
	o := server.options()
	o.OCI.ConfigFile = dockerConfigFile(t, nil)
	notAt(t, openAs(t, server.url("fleet:v1.0.0"), o), "feature", fleet.ErrUnauthenticated, "--registry-config")
}

func TestOCIRefusesInvalidOtherRefs(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	proxy := server.proxy()
	s := openAs(t, "oci://"+proxy.host()+"/fleet:v1", server.options())
	for _, ref := range append(hostileRefs, "refs/heads/main", strings.Repeat("a", 129), "sha512:"+strings.Repeat("a", 128)) {
		if ref != "main.lock" && ref != "main..feature" { // These are valid names of tags.
			notAt(t, s, ref, fleet.ErrInvalid, "ref")
		}
	}
	if got := proxy.takeRequests(); len(got) > 0 {
		t.Errorf("requests = %q, want none for what is no ref", got)
	}
	notAt(t, s, "gone", fleet.ErrNotFound, "tag gone: not found there; it has the tag v1")
	notAt(t, s, "sha256:"+strings.Repeat("a", 64), fleet.ErrNotFound, "it may have been deleted")
	notAt(t, s, "semver:>=2", fleet.ErrNotFound, "semver >=2: not found")
}

// TestOCIReadsOtherRefsWithItsOptions checks that the source's settings apply to
// other refs.
func TestOCIReadsOtherRefsWithItsOptions(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	push := func(tag string, files map[string]string) string {
		return server.pushImage("fleet", tag, fluxConfig, blob{fluxContent, fluxArchive(t, files), nil})
	}
	push("v1", map[string]string{"fleet/fleet.yaml": "one"})
	good := push("good", map[string]string{"fleet/fleet.yaml": "good", "other": "o"})
	large := push("large", map[string]string{"fleet/large.yaml": noise(2000)})
	without := push("without", map[string]string{"other": "o"})
	o := server.options()
	o.Limits.TreeSize = 1000
	s := openAs(t, server.url("fleet:v1?path=fleet"), o)
	known := fetch(t, s, "").Revision
	wantContents(t, at(t, s, "good", "good@"+good).Tree, map[string]string{"fleet.yaml": "good"})
	refusedAt(t, s, "large", "large@"+large, "large.yaml: with this file, the tree is larger than 1000 bytes")
	refusedAt(t, s, "without", "without@"+without, "path fleet is not in the artifact")
	notAt(t, openAs(t, server.url("fleet:v1?layer=text/x"), o), "good", fleet.ErrInvalid, "no layer of media type text/x")
	fetchNothing(t, s, known)
}

func TestCosignVerifiesOtherRefs(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	signed, unsigned := server.pushSome("signed", "one"), server.pushSome("unsigned", "two")
	for layout := range cosignLayouts {
		key.sign(layout, server.name(signed))
	}
	s := server.openSigned("signed", key)
	at(t, s, "signed", "signed@"+signed)
	refusedAt(t, s, "unsigned", "unsigned@"+unsigned, "the artifact is not signed")
	refusedAt(t, s, unsigned, unsigned, "the artifact is not signed")
}

// TestOCIReadsOtherRefsDuringAFetch lets a Fetch hang while other calls
// succeed.
func TestOCIReadsOtherRefsDuringAFetch(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	first := server.pushFlux("fleet:v1", map[string]string{"fleet.yaml": "one"})
	feature := server.pushFlux("fleet:feature", map[string]string{"fleet.yaml": "feature"})
	proxy := server.proxy()
	hangs, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	var hung atomic.Bool
	proxy.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") && hung.CompareAndSwap(false, true) {
			close(hangs)
			<-goOn
		}
		return false
	})
	s := openAs(t, "oci://"+proxy.host()+"/fleet:v1", server.options())
	fetched := make(chan *fleet.Snapshot, 1)
	go func() {
		defer close(fetched)
		if snapshot, err := s.Fetch(deadline(t), ""); err == nil {
			fetched <- snapshot
		}
	}()
	<-hangs
	for range 2 {
		wantContents(t, at(t, s, "feature", "feature@"+feature).Tree, map[string]string{"fleet.yaml": "feature"})
	}
	release()
	snapshot := <-fetched
	if want := "v1@" + first; snapshot == nil || snapshot.Revision != want {
		t.Fatalf("Fetch = %v, want %s", snapshot, want)
	}
	wantContents(t, snapshot.Tree, map[string]string{"fleet.yaml": "one"})
	fetchNothing(t, s, snapshot.Revision)
}

// TestOCIReadsManyRefsAtOnce is for the race detector.
func TestOCIReadsManyRefsAtOnce(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t, withPassword("jo", "secret"))
	feature := server.pushSome("feature", "feature")
	var s sources.Source
	for _, content := range []string{"one", "two", "three"} {
		want := "v1@" + server.pushSome("v1", content)
		if s == nil {
			s = server.open("fleet:v1")
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				snapshot, err := s.Fetch(deadline(t), "")
				if err != nil || snapshot.Revision != want || read(t, snapshot.Tree, "fleet.yaml") != content {
					t.Errorf("Fetch = %v, %v, want %s", snapshot, err, want)
				}
			})
			all.Go(func() {
				snapshot, err := s.(fleet.RefFetcher).At(deadline(t), "feature")
				if err != nil || snapshot.Revision != "feature@"+feature || read(t, snapshot.Tree, "fleet.yaml") != "feature" {
					t.Errorf("At = %v, %v, want feature@%s", snapshot, err, feature)
				}
			})
		}
		all.Wait()
	}
}
