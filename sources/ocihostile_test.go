package sources_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// lyingRegistry is a registry with one repository that can give wrong answers.
type lyingRegistry struct {
	*httptest.Server
	// manifest is the manifest of the tag v1, and blobs are keyed by digest.
	manifest []byte
	blobs    map[string][]byte
	// answer may write another answer; nil gives the right one.
	answer func(w http.ResponseWriter, r *http.Request, truth []byte) bool
}

func newLyingRegistry(t *testing.T, m ocispec.Manifest, blobs ...[]byte) *lyingRegistry {
	t.Helper()
	l := &lyingRegistry{blobs: map[string][]byte{}}
	for _, b := range blobs {
		l.blobs[digest.FromBytes(b).String()] = b
	}
	var err error
	m.SchemaVersion = 2
	l.manifest, err = json.Marshal(m)
	must(t, err)
	l.Server = httptest.NewServer(http.HandlerFunc(l.serve))
	t.Cleanup(l.Close)
	return l
}

func (l *lyingRegistry) digest() string { return digest.FromBytes(l.manifest).String() }

func (l *lyingRegistry) source(t *testing.T, query string) fleet.Source {
	t.Helper()
	return openAs(t, "oci://"+strings.TrimPrefix(l.URL, "http://")+"/fleet:v1"+query, sources.Options{PlainHTTP: true})
}

func (l *lyingRegistry) serve(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	truth := l.blobs[name]
	if strings.Contains(r.URL.Path, "/manifests/") {
		truth = l.manifest
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", l.digest())
	}
	switch {
	case l.answer != nil && l.answer(w, r, truth):
	case truth == nil:
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(truth)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(truth)
		}
	}
}

func layerOf(content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: fluxContent, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// TestOCIRefusesContentWithAnotherDigest uses registries that give a wrong
// answer once. It must not be taken for the artifact: the right one is read
// afterwards.
func TestOCIRefusesContentWithAnotherDigest(t *testing.T) {
	t.Parallel()
	archive := fluxArchive(t, someFiles)
	other := fluxArchive(t, map[string]string{"evil": "x"})
	hostile := gzipped(t, tarred(t, entryFile("../x", "x")))
	say := func(content []byte, length int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if length >= 0 {
				w.Header().Set("Content-Length", strconv.Itoa(length))
			}
			_, _ = w.Write(content)
			_ = http.NewResponseController(w).Flush()
		}
	}
	same := make([]byte, len(archive)) // It has the length of the layer.
	copy(same, archive)
	same[len(same)/2] ^= 1
	for name, c := range map[string]struct {
		at   string
		say  func(http.ResponseWriter)
		want string
	}{
		"another layer":             {"/blobs/", say(other, -1), ""},
		"a hostile layer":           {"/blobs/", say(hostile, -1), "fewer bytes than the manifest says"},
		"one bit of a layer":        {"/blobs/", say(same, len(same)), "does not match the digest"},
		"layer cut short":           {"/blobs/", say(archive[:len(archive)-20], -1), "fewer bytes than the manifest says"},
		"layer cut short, length":   {"/blobs/", say(archive[:len(archive)-20], len(archive)), "fewer bytes than the manifest says"},
		"layer with more":           {"/blobs/", say(append(same[:len(same):len(same)], "more"...), -1), ""},
		"layer with another length": {"/blobs/", say(archive[:10], 10), "has a different number of bytes"},
		"another manifest":          {"/manifests/sha256:", say([]byte(`{"schemaVersion":2,"layers":[]}`), -1), "fewer bytes"},
		"manifest cut short":        {"/manifests/sha256:", say([]byte(`{`), -1), "fewer bytes"},
		"manifest, other length":    {"/manifests/sha256:", say([]byte(`{`), 1), "has a different number of bytes"},
		"manifest, other type": {"/manifests/sha256:", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
		}, "Content-Type"},
		"digest that is none": {"/manifests/v1", func(w http.ResponseWriter) {
			w.Header().Set("Docker-Content-Digest", "sha256:none\n")
		}, ""},
		"digest of another algorithm": {"/manifests/v1", func(w http.ResponseWriter) {
			w.Header().Set("Docker-Content-Digest", "sha512:"+strings.Repeat("ab", 64))
			w.Header().Set("Content-Length", "10")
		}, "only sha256 is supported"},
		"redirect in a circle": {"/blobs/", func(w http.ResponseWriter) {
			w.Header().Set("Location", "?again")
			w.WriteHeader(http.StatusFound)
		}, "redirects in a circle"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLyingRegistry(t, ocispec.Manifest{Layers: []ocispec.Descriptor{layerOf(archive)}}, archive)
			l.answer = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
				if strings.Contains(r.URL.Path, c.at) {
					c.say(w)
				}
				return strings.Contains(r.URL.Path, c.at)
			}
			s := l.source(t, "")
			if revision, ok := refusedRevision(fetchError(t, s, c.want)); ok {
				t.Errorf("%s was refused for what is no part of it", revision)
			}
			l.answer = nil
			snapshot := fetch(t, s, "")
			if snapshot.Revision != "v1@"+l.digest() {
				t.Errorf("revision = %q, want v1@%s", snapshot.Revision, l.digest())
			}
			wantContents(t, snapshot.Tree, someFiles)
		})
	}
}

// TestOCIRefusesManifestsThatLie uses manifests that match their digest but
// whose content is wrong.
func TestOCIRefusesManifestsThatLie(t *testing.T) {
	t.Parallel()
	archive := fluxArchive(t, someFiles)
	sized := func(size int64) ocispec.Descriptor {
		d := layerOf(archive)
		d.Size = size
		return d
	}
	for name, c := range map[string]struct {
		layer   ocispec.Descriptor
		refused bool
		want    string
	}{
		"size too small":    {sized(int64(len(archive)) - 1), false, "has a different number of bytes"},
		"size too large":    {sized(int64(len(archive)) + 1), false, "has a different number of bytes"},
		"size of zero":      {sized(0), false, "has a different number of bytes"},
		"negative size":     {sized(-1), true, "-1 bytes"},
		"largest size":      {sized(1<<63 - 1), true, "much larger than 256 MiB"},
		"no digest":         {ocispec.Descriptor{MediaType: fluxContent, Size: 10}, true, "a layer has the digest"},
		"digest is a path":  {ocispec.Descriptor{MediaType: fluxContent, Digest: "../../../v2/other/blobs/x", Size: 10}, true, "which is not possible"},
		"unknown algorithm": {ocispec.Descriptor{MediaType: fluxContent, Digest: "md5:" + digest.Digest(strings.Repeat("ab", 16)), Size: 10}, true, "which is not possible"},
		"layer is missing":  {layerOf([]byte("missing")), false, "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLyingRegistry(t, ocispec.Manifest{Layers: []ocispec.Descriptor{c.layer}}, archive)
			revision, ok := refusedRevision(fetchError(t, l.source(t, ""), c.want))
			if ok != c.refused || ok && revision != "v1@"+l.digest() {
				t.Errorf("refused = %v of %q, want %v", ok, revision, c.refused)
			}
		})
	}
}

// TestOCIRefusesLayersThatAreTooLargeTogether uses sizes whose sum overflows.
func TestOCIRefusesLayersThatAreTooLargeTogether(t *testing.T) {
	t.Parallel()
	one, other := titled("a", "text/plain", "a").descriptor(), titled("b", "text/plain", "b").descriptor()
	for _, size := range []int64{1<<63 - 1, 2 << 30} {
		one.Size, other.Size = 1<<30, size
		l := newLyingRegistry(t, ocispec.Manifest{Layers: []ocispec.Descriptor{one, other}})
		wantRefused(t, l.source(t, ""), "v1@"+l.digest(), "layer "+other.Digest.String(), "much larger than 256 MiB")
	}
}

func TestOCIRefusesInvalidManifests(t *testing.T) {
	t.Parallel()
	archive := fluxArchive(t, someFiles)
	layer, err := json.Marshal(layerOf(archive))
	must(t, err)
	for name, c := range map[string]struct{ manifest, want string }{
		"no JSON":           {"<html>", "not the JSON of an image"},
		"other JSON":        {`[1]`, "not the JSON of an image"},
		"layers as text":    {`{"layers":"x"}`, "not the JSON of an image"},
		"nothing":           {`{}`, "has no layers"},
		"first schema":      {`{"schemaVersion":1,"fsLayers":[]}`, "Docker's first schema"},
		"artifact manifest": {`{"blobs":[]}`, "OCI artifact manifest"},
		"image and index":   {fmt.Sprintf(`{"layers":[%s],"manifests":[%s]}`, layer, layer), "an image and an index at once"},
		"index by type":     {fmt.Sprintf(`{"mediaType":%q}`, ocispec.MediaTypeImageIndex), "an index of 0 images in place of an image"},
		"index, bad digest": {`{"manifests":[{"digest":"../../x","size":2}]}`, "the index names an image with an invalid digest or size"},
		"index, bad size":   {fmt.Sprintf(`{"manifests":[{"digest":"sha256:%064d","size":-2}]}`, 1), "the index names an image with an invalid digest or size"},
		"index, large":      {fmt.Sprintf(`{"manifests":[{"digest":"sha256:%064d","size":9999999}]}`, 1), "the manifest is larger than 4 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLyingRegistry(t, ocispec.Manifest{}, archive)
			l.manifest = []byte(c.manifest)
			wantRefused(t, l.source(t, ""), "v1@"+l.digest(), c.want)
		})
	}
}

func TestOCIRefusesIndexesOfIndexes(t *testing.T) {
	t.Parallel()
	inner := []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[]}`, ocispec.MediaTypeImageIndex))
	l := newLyingRegistry(t, ocispec.Manifest{})
	l.manifest = []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageIndex, digest.FromBytes(inner), len(inner)))
	l.answer = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if !strings.HasSuffix(r.URL.Path, digest.FromBytes(inner).String()) {
			return false
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(inner).String())
		_, _ = w.Write(inner)
		return true
	}
	wantRefused(t, l.source(t, ""), "v1@"+l.digest(), "is an index of indexes in place of an image")
}

func TestOCIBoundsManifests(t *testing.T) {
	t.Parallel()
	l := newLyingRegistry(t, ocispec.Manifest{})
	l.manifest = append([]byte(`{"schemaVersion":2,"layers":[]`), make([]byte, 5<<20)...)
	fetchError(t, l.source(t, ""), "the manifest is larger than 4 MiB")
	l.answer = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		w.Header().Set("Content-Length", "100")
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", strconv.Itoa(1<<40))
		}
		return true
	}
	fetchError(t, l.source(t, ""), "has a different number of bytes")
}

// TestOCIBoundsTags uses a registry with an endless list of tags.
func TestOCIBoundsTags(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		perPage, most int
		prefix        string
	}{"large pages": {5000, 21, ""}, "empty pages": {0, 1000, ""}, "long tags": {1, 9, strings.Repeat("9", 4<<20-100)}} {
		t.Run(name, func(t *testing.T) {
			l := newLyingRegistry(t, ocispec.Manifest{})
			pages := 0
			l.answer = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
				pages++
				w.Header().Set("Link", fmt.Sprintf(`</v2/fleet/tags/list?last=%d>; rel="next"`, pages))
				_, _ = io.WriteString(w, `{"name":"fleet","tags":[`)
				for i := range c.perPage {
					if i > 0 {
						_, _ = io.WriteString(w, ",")
					}
					_, _ = io.WriteString(w, `"v`+c.prefix)
					_, _ = fmt.Fprintf(w, `%d.%d.0"`, pages, i)
				}
				_, err := io.WriteString(w, "]}")
				return err == nil
			}
			s := openAs(t, "oci://"+strings.TrimPrefix(l.URL, "http://")+"/fleet?semver=1.x", sources.Options{PlainHTTP: true})
			fetchError(t, s, "more than 100000 tags", "name a tag")
			if pages > c.most {
				t.Errorf("%d pages were read, want no more than %d", pages, c.most)
			}
		})
	}
}
