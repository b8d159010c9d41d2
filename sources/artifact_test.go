package sources_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
)

const (
	fluxConfig  = "application/vnd.cncf.flux.config.v1+json"
	fluxContent = "application/vnd.cncf.flux.content.v1.tar+gzip"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	titleKey    = "org.opencontainers.image.title"
	unpackKey   = "io.deis.oras.content.unpack"
)

// blob is a layer to push.
type blob struct {
	mediaType   string
	content     []byte
	annotations map[string]string
}

func (b blob) descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: b.mediaType, Digest: digest.FromBytes(b.content), Size: int64(len(b.content)), Annotations: b.annotations}
}

func titled(title, mediaType, content string) blob {
	return blob{mediaType, []byte(content), map[string]string{titleKey: title}}
}

// repository returns a client for one of the registry's repositories.
func (r *registryServer) repository(name string) *remote.Repository {
	r.t.Helper()
	repo, err := remote.NewRepository(r.host + "/" + name)
	must(r.t, err)
	repo.PlainHTTP = true
	return repo
}

func (r *registryServer) pushBlob(name string, b blob) {
	r.t.Helper()
	must(r.t, r.repository(name).Blobs().Push(r.t.Context(), b.descriptor(), bytes.NewReader(b.content)))
}

// pushManifest pushes any document, and returns its digest.
func (r *registryServer) pushManifest(name, tag, mediaType string, document any) string {
	r.t.Helper()
	text, ok := document.([]byte)
	if !ok {
		var err error
		text, err = json.Marshal(document)
		must(r.t, err)
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	must(r.t, r.repository(name).PushReference(r.t.Context(), d, bytes.NewReader(text), tag))
	return d.Digest.String()
}

// pushImage pushes an image of these layers, and returns its digest.
func (r *registryServer) pushImage(name, tag, configType string, layers ...blob) string {
	r.t.Helper()
	config := blob{configType, []byte("{}"), nil}
	image := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config.descriptor(), Layers: []ocispec.Descriptor{},
	}
	if configType == dockerConfigType {
		image.MediaType = dockerManifest
	}
	r.pushBlob(name, config)
	for _, l := range layers {
		r.pushBlob(name, l)
		image.Layers = append(image.Layers, l.descriptor())
	}
	return r.pushManifest(name, tag, image.MediaType, image)
}

const (
	dockerManifest   = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfigType = "application/vnd.docker.container.image.v1+json"
	dockerLayer      = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// pushFlux pushes the same as flux push artifact does for a directory with
// these files.
func (r *registryServer) pushFlux(reference string, files map[string]string) string {
	r.t.Helper()
	name, tag, _ := strings.Cut(reference, ":")
	return r.pushImage(name, tag, fluxConfig, blob{fluxContent, fluxArchive(r.t, files), nil})
}

// fluxArchive returns an archive as fluxcd/pkg/tar writes it: entries in the
// order of a walk, with an entry for the root and each directory, names without
// a trailing slash, and no owners or times.
func fluxArchive(t testing.TB, files map[string]string) []byte {
	t.Helper()
	entries := map[string]*tar.Header{".": {Typeflag: tar.TypeDir, Name: ".", Mode: 0o755}}
	for name, content := range files {
		entries[name] = &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			entries[dir] = &tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}
		}
	}
	names := slices.SortedFunc(maps.Keys(entries), func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
	})
	headers := make([]tarEntry, 0, len(names))
	for _, name := range names {
		entries[name].ModTime = time.Time{}
		headers = append(headers, tarEntry{entries[name], files[name]})
	}
	return gzipped(t, tarred(t, headers...))
}

type tarEntry struct {
	header  *tar.Header
	content string
}

func entryFile(name, content string) tarEntry {
	return tarEntry{&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}

func entryDir(name string) tarEntry {
	return tarEntry{&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, ""}
}

func entryLink(name, target string) tarEntry {
	return tarEntry{&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, ""}
}

func tarred(t testing.TB, entries ...tarEntry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		must(t, w.WriteHeader(e.header))
		_, err := io.WriteString(w, e.content)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(content)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}
