package sources_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tributary-gitops/tributary/fleet"
)

// answerAt answers requests whose path contains a text.
func answerAt(path string, answer http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, path) {
			return false
		}
		answer(w, r)
		return true
	}
}

func answerStatus(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "as told", code) }
}

// TestCosignRequestErrorIsNotAFault lets each of the requests for a signature fail.
func TestCosignRequestErrorIsNotAFault(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	proxy := server.proxy()
	for layout := range cosignLayouts {
		digest := server.pushSome(layout, layout)
		key.sign(layout, server.name(digest))
		proxy.intercept(nil)
		proxy.takeRequests()
		fetch(t, openSignedAt(server, proxy.host(), layout, key), "")
		for _, request := range proxy.takeRequests() {
			path := strings.TrimPrefix(request, "GET ")
			if path == request || layout == "tag" && (strings.Contains(path, "/referrers/") || strings.HasSuffix(path, bundleTag(digest))) {
				continue // The signature is found without this request.
			}
			for name, answer := range map[string]http.HandlerFunc{
				"500": answerStatus(500), "401": answerStatus(401), "403": answerStatus(403), "429": answerStatus(429), "410": answerStatus(410),
				"hang up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
				"cut short": func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
					w.Header().Set("Content-Length", "100")
					fmt.Fprint(w, "{")
				},
			} {
				kind, _, _ := strings.Cut(strings.TrimPrefix(path, "/v2/fleet/"), ":")
				t.Run(layout+", "+kind+", "+name, func(t *testing.T) {
					proxy.intercept(answerAt(path, answer))
					s := openSignedAt(server, proxy.host(), layout, key)
					err := fetchError(t, s)
					if _, ok := refusedRevision(err); ok || errors.Is(err, fleet.ErrInvalid) {
						t.Errorf("error = %v, want none of the artifact", err)
					}
					proxy.intercept(nil)
					fetch(t, s, "")
				})
			}
		}
	}
}

// TestCosignChecksTagsWithoutReferrersAPI uses registries without the
// referrers API, which say so in different ways.
func TestCosignChecksTagsWithoutReferrersAPI(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	for layout := range cosignLayouts {
		key.sign(layout, server.name(server.pushSome(layout, layout)))
	}
	for status, layouts := range map[int][]string{
		400: {"tag", "bundle"}, 404: {"tag", "bundle"}, 405: {"tag", "bundle"}, 406: {"tag", "bundle"}, 501: {"tag", "bundle"},
		401: {"tag"}, 403: {"tag"}, 500: {"tag"},
	} {
		for _, layout := range layouts {
			t.Run(fmt.Sprint(status, " ", layout), func(t *testing.T) {
				proxy := server.proxy()
				proxy.intercept(answerAt("/referrers/", answerStatus(status)))
				fetch(t, openSignedAt(server, proxy.host(), layout, key), "")
			})
		}
	}
}

func TestCosignStopsWhenTheRegistryAsksToWait(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	key.sign("tag", server.name(server.pushSome("v1", "one")))
	proxy := server.proxy()
	proxy.intercept(answerAt("/referrers/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	var retry *fleet.RetryError
	if err := fetchError(t, openSignedAt(server, proxy.host(), "v1", key)); !errors.As(err, &retry) {
		t.Errorf("error = %v, want a fleet.RetryError", err)
	}
	requests := proxy.takeRequests()
	if last := requests[len(requests)-1]; !strings.Contains(last, "/referrers/") {
		t.Errorf("%s was asked for after that", last)
	}
}

// TestCosignFindsBundlesByReferrersAPI uses a registry with the API. Debian's
// is too old for it.
func TestCosignFindsBundlesByReferrersAPI(t *testing.T) {
	t.Parallel()
	modern := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer modern.Close()
	server := &registryServer{t: t, host: strings.TrimPrefix(modern.URL, "http://")}
	key, wrong := cosignKeys(t)
	proxy := server.proxy()
	digest := server.pushSome("v1", "one")
	s := openSignedAt(server, proxy.host(), "v1", key)
	wantRefused(t, s, "v1@"+digest, "the artifact is not signed")
	wrong.sign("bundle", server.name(digest))
	wantRefused(t, s, "v1@"+digest, "1 found", "none of the keys")
	key.sign("bundle", server.name(digest))
	proxy.takeRequests()
	fetch(t, s, "")
	if requests := proxy.takeRequests(); slices.ContainsFunc(requests, func(r string) bool { return strings.Contains(r, bundleTag(digest)) }) {
		t.Errorf("requests = %q, want none for a tag", requests)
	}
}

// TestCosignBoundsReferrers uses a list in which each page leads to
// another.
func TestCosignBoundsReferrers(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	digest := server.pushSome("v1", "one")
	junk := server.pushBundle(digest, []byte("{}"))
	for name, page := range map[string][]ocispec.Descriptor{"empty": {}, "junk": slices.Repeat([]ocispec.Descriptor{junk}, 1000)} {
		t.Run(name, func(t *testing.T) {
			list, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": page})
			must(t, err)
			proxy := server.proxy()
			proxy.intercept(answerAt("/referrers/", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
				w.Header().Set("Link", "<"+r.URL.Path+`?more>; rel="next"`)
				_, _ = w.Write(list)
			}))
			s := openSignedAt(server, proxy.host(), "v1", key)
			wantRefused(t, s, "v1@"+digest, "not checked, because there are too many")
			if requests := len(proxy.takeRequests()); requests > 2*220 {
				t.Errorf("%d requests were made", requests)
			}
		})
	}
}

// TestCosignBoundsSignatures lists more signatures than are checked.
// All but the last are of the wrong key.
func TestCosignBoundsSignatures(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	right, wrong := cosignKeys(t)
	digest := server.pushSome("v1", "one")
	right.sign("bundle", server.name(digest))
	good := server.pushBundle(digest, server.bundleOf(digest))
	server.listBundles(digest)
	wrong.sign("bundle", server.name(digest))
	bad := server.pushBundle(digest, server.bundleOf(digest))
	proxy := server.proxy()
	list := func(wrong int, good ocispec.Descriptor) fleet.Source {
		server.listBundles(digest, append(slices.Repeat([]ocispec.Descriptor{bad}, wrong), good)...)
		proxy.takeRequests()
		return openSignedAt(server, proxy.host(), "v1", right)
	}
	fetch(t, list(99, good), "")
	wantRefused(t, list(300, good), "v1@"+digest, "301 found", "none of the keys", "not checked, because there are too many")
	if requests := len(proxy.takeRequests()); requests > 2*210 {
		t.Errorf("%d requests were made", requests)
	}
	good.Annotations = map[string]string{ocispec.AnnotationCreated: "2026-01-02T03:04:05Z"}
	fetch(t, list(300, good), "")
	if requests := len(proxy.takeRequests()); requests > 10 {
		t.Errorf("%d requests were made, want the newest looked at first", requests)
	}
}

// TestCosignIgnoresOtherReferrers lists more other manifests than are
// checked, which the list itself shows to be something else.
func TestCosignIgnoresOtherReferrers(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	digest := server.pushSome("v1", "one")
	key.sign("bundle", server.name(digest))
	good := server.pushBundle(digest, server.bundleOf(digest))
	bad := server.pushBundle(digest, []byte("{}"))
	attestation, bill := bad, bad
	attestation.Annotations = map[string]string{"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"}
	bill.ArtifactType = "application/spdx+json"
	server.listBundles(digest, append(slices.Repeat([]ocispec.Descriptor{attestation, bill}, 200), good)...)
	fetch(t, server.openSigned("v1", key), "")
}

// TestCosignReadsEachTextOnce uses an artifact that was signed many times, which
// gives the same text each time, and texts that all differ.
func TestCosignReadsEachTextOnce(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	digest := server.pushSome("v1", "one")
	key.sign("tag", server.name(digest))
	m := manifestAt[ocispec.Manifest](server, ":"+sigTag(digest))
	good := m.Layers[0]
	bad := good
	bad.Annotations = map[string]string{cosignSignatureNote: "bm9pc2U="}
	m.Layers = append([]ocispec.Descriptor{good}, slices.Repeat([]ocispec.Descriptor{bad}, 1000)...)
	server.pushManifest("fleet", sigTag(digest), m.MediaType, m)
	proxy := server.proxy()
	fetch(t, openSignedAt(server, proxy.host(), "v1", key), "")
	if requests := len(proxy.takeRequests()); requests > 12 {
		t.Errorf("%d requests were made, want one for the text", requests)
	}

	m.Layers = []ocispec.Descriptor{good}
	for i := range 120 {
		text := blob{cosignPayload, fmt.Append(nil, i), bad.Annotations}
		server.pushBlob("fleet", text)
		m.Layers = append(m.Layers, text.descriptor())
	}
	server.pushManifest("fleet", sigTag(digest), m.MediaType, m)
	wantRefused(t, openSignedAt(server, proxy.host(), "v1", key), "v1@"+digest, "121 found", "not checked, because there are too many")
	if requests := len(proxy.takeRequests()); requests > 2*110 {
		t.Errorf("%d requests were made", requests)
	}
}

// TestCosignRefusesLargeSignatures uses signatures that are larger than any real
// one.
func TestCosignRefusesLargeSignatures(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	digest := server.pushSome("v1", "one")
	large := strings.Repeat(" ", 1<<20)
	note := map[string]string{cosignSignatureNote: key.signBlob("x")}
	for name, push := range map[string]func(){
		"bundle": func() { server.listBundles(digest, server.pushBundle(digest, []byte("{}"+large))) },
		"text": func() {
			server.pushImage("fleet", sigTag(digest), ocispec.MediaTypeImageConfig, blob{cosignPayload, []byte(large + "x"), note})
		},
		"manifest": func() {
			server.pushImage("fleet", sigTag(digest), ocispec.MediaTypeImageConfig, blob{cosignPayload, []byte("x"), map[string]string{"padding": large}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			server.listBundles(digest)
			server.pushImage("fleet", sigTag(digest), ocispec.MediaTypeImageConfig)
			push()
			wantRefused(t, server.openSigned("v1", key), "v1@"+digest, "1 found", "it is larger than 1 MiB")
		})
	}
}

// TestCosignRefusesContentWithAnotherDigest uses a registry that sends other
// bytes than requested, or none.
func TestCosignRefusesContentWithAnotherDigest(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, wrong := cosignKeys(t)
	signed := server.pushSome("signed", "good")
	digest := server.pushSome("bad", "bad")
	for layout := range cosignLayouts {
		t.Run(layout, func(t *testing.T) {
			server.listBundles(digest)
			server.pushImage("fleet", sigTag(digest), ocispec.MediaTypeImageConfig)
			key.sign(layout, server.name(signed))
			wrong.sign(layout, server.name(digest))
			layer := manifestAt[ocispec.Manifest](server, ":"+sigTag(digest)).Layers
			if layout == "bundle" {
				listed := manifestAt[ocispec.Index](server, ":"+bundleTag(digest)).Manifests
				layer = manifestAt[ocispec.Manifest](server, "@"+listed[0].Digest.String()).Layers
			}
			path := layer[0].Digest.String()
			proxy := server.proxy()
			proxy.intercept(answerAt(path, func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, strings.Repeat("x", int(layer[0].Size)))
			}))
			wantRefused(t, openSignedAt(server, proxy.host(), "bad", key), "bad@"+digest, "1 found", "it does not match its digest")
			proxy.intercept(answerAt(path, answerStatus(404)))
			wantRefused(t, openSignedAt(server, proxy.host(), "bad", key), "bad@"+digest, "1 found", "the registry lists it but does not have it")
		})
	}
}
