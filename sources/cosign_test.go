package sources_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tributary-gitops/tributary/sources"
)

// cosignLayouts are the flags that choose where Cosign stores signatures.
var cosignLayouts = map[string]string{"bundle": "--new-bundle-format=true", "tag": "--new-bundle-format=false"}

// cosignKey is a key pair in files that Cosign created.
type cosignKey struct {
	t               *testing.T
	private, public string
}

// cosignKeys returns two key pairs, which Cosign makes once for all tests.
func cosignKeys(t *testing.T) (one, other cosignKey) {
	t.Helper()
	var keys [2]cosignKey
	for i := range keys {
		dir := fixture(t, fmt.Sprint("cosign-", i), func(dir string) { cosign(t, dir, "generate-key-pair") })
		keys[i] = cosignKey{t, filepath.Join(dir, "cosign.key"), filepath.Join(dir, "cosign.pub")}
	}
	return keys[0], keys[1]
}

// cosign runs Cosign without a transparency log or any other service besides
// the registry.
func cosign(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, "cosign"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "COSIGN_PASSWORD=", "HOME="+dir, "DOCKER_CONFIG="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("cosign %s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// sign signs host/repository@digest. Flags come after the layout's.
func (k cosignKey) sign(layout, artifact string, flags ...string) {
	k.t.Helper()
	k.run("sign", layout, artifact, flags...)
}

func (k cosignKey) run(command, layout, artifact string, flags ...string) {
	k.t.Helper()
	args := []string{command, "--key", k.private, "--yes", "--allow-http-registry", "--tlog-upload=false", "--use-signing-config=false", cosignLayouts[layout]}
	cosign(k.t, k.t.TempDir(), slices.Concat(args, flags, []string{artifact})...)
}

// pushSome pushes an artifact with oras, and returns its digest.
func (r *registryServer) pushSome(tag, content string) string {
	r.t.Helper()
	dir := writeTree(r.t, map[string]string{"fleet.yaml": content})
	return digestOf(r.t, r.oras(dir, "push", r.host+"/fleet:"+tag, "fleet.yaml"))
}

func (r *registryServer) name(digest string) string { return r.host + "/fleet@" + digest }

// openSigned opens an artifact that one of the keys must have signed.
func (r *registryServer) openSigned(tag string, keys ...cosignKey) sources.Source {
	r.t.Helper()
	return openSignedAt(r, r.host, tag, keys...)
}

func openSignedAt(r *registryServer, host, tag string, keys ...cosignKey) sources.Source {
	r.t.Helper()
	o := r.options()
	for _, k := range keys {
		o.OCI.Signers.KeyFiles = append(o.OCI.Signers.KeyFiles, k.public)
	}
	return openAs(r.t, "oci://"+host+"/fleet:"+tag, o)
}

// sigTag is the tag of signatures in the tag layout, and bundleTag the tag that
// lists bundles in a registry without the referrers API.
func sigTag(digest string) string    { return bundleTag(digest) + ".sig" }
func bundleTag(digest string) string { return strings.Replace(digest, ":", "-", 1) }

// manifestAt reads any manifest, and blobAt any blob.
func manifestAt[T any](r *registryServer, reference string) (m T) {
	r.t.Helper()
	must(r.t, json.Unmarshal([]byte(r.oras("", "manifest", "fetch", r.host+"/fleet"+reference)), &m))
	return m
}

func (r *registryServer) blobAt(d ocispec.Descriptor) string {
	r.t.Helper()
	return r.oras("", "blob", "fetch", "--output", "-", r.name(d.Digest.String()))
}

// listBundles sets the referrers of a digest, as in a registry without the
// referrers API.
func (r *registryServer) listBundles(of string, referrers ...ocispec.Descriptor) {
	r.t.Helper()
	r.pushManifest("fleet", bundleTag(of), ocispec.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": referrers,
	})
}

// pushBundle pushes a manifest with a bundle that refers to a digest, and
// returns its descriptor.
func (r *registryServer) pushBundle(of string, bundle []byte) ocispec.Descriptor {
	r.t.Helper()
	layer := blob{cosignBundle, bundle, nil}
	r.pushBlob("fleet", layer)
	r.pushBlob("fleet", blob{ocispec.MediaTypeEmptyJSON, []byte("{}"), nil})
	subject, err := r.repository("fleet").Resolve(r.t.Context(), of)
	must(r.t, err)
	m := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: cosignBundle,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{layer.descriptor()}, Subject: &subject,
	}
	m.SchemaVersion = 2
	digest := r.pushManifest("fleet", "pushed", m.MediaType, m)
	d, err := r.repository("fleet").Resolve(r.t.Context(), digest)
	must(r.t, err)
	d.ArtifactType = cosignBundle
	return d
}

const (
	cosignBundle        = "application/vnd.dev.sigstore.bundle.v0.3+json"
	cosignPayload       = "application/vnd.dev.cosign.simplesigning.v1+json"
	cosignSignatureNote = "dev.cosignproject.cosign/signature"
)

// bundleOf returns the bundle that was listed last for a digest.
func (r *registryServer) bundleOf(digest string) []byte {
	r.t.Helper()
	listed := manifestAt[ocispec.Index](r, ":"+bundleTag(digest)).Manifests
	m := manifestAt[ocispec.Manifest](r, "@"+listed[len(listed)-1].Digest.String())
	return []byte(r.blobAt(m.Layers[0]))
}

func TestCosignAcceptsWhatOneOfTheKeysSigned(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	right, wrong := cosignKeys(t)
	for layout := range cosignLayouts {
		t.Run(layout, func(t *testing.T) {
			digest := server.pushSome(layout, layout)
			right.sign(layout, server.name(digest))
			snapshot := fetch(t, server.openSigned(layout, right), "")
			wantContents(t, snapshot.Tree, map[string]string{"fleet.yaml": layout})
			fetch(t, server.openSigned(layout, wrong, right), "")
			wantRefused(t, server.openSigned(layout, wrong), layout+"@"+digest, "1 found", "made with none of the keys of --verify-oci-keys", "cosign sign --key cosign.key "+server.name(digest))

			wrong.sign(layout, server.name(digest))
			fetch(t, server.openSigned(layout, right), "")
			fetch(t, server.openSigned(layout, wrong), "")
		})
	}
}

func TestCosignReadsKeysFromOneFile(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	one, other := cosignKeys(t)
	one.sign("bundle", server.name(server.pushSome("v1", "one")))
	both := other
	both.public = filepath.Join(t.TempDir(), "both.pub")
	first, err := os.ReadFile(other.public)
	must(t, err)
	second, err := os.ReadFile(one.public)
	must(t, err)
	must(t, os.WriteFile(both.public, slices.Concat([]byte("Both of us:\n"), first, []byte("\nand\n"), second), 0o600))
	fetch(t, server.openSigned("v1", both), "")
}

// TestCosignAcceptsAnArtifactOnceItIsSigned uses one source before and after
// the artifact is signed.
func TestCosignAcceptsAnArtifactOnceItIsSigned(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	right, wrong := cosignKeys(t)
	for layout := range cosignLayouts {
		t.Run(layout, func(t *testing.T) {
			digest := server.pushSome(layout, layout)
			s := server.openSigned(layout, right)
			wantRefused(t, s, layout+"@"+digest, "the artifact is not signed: sign it with cosign sign --key cosign.key "+server.name(digest))
			wrong.sign(layout, server.name(digest))
			wantRefused(t, s, layout+"@"+digest, "none of the keys")
			right.sign(layout, server.name(digest))
			wantContents(t, fetch(t, s, "").Tree, map[string]string{"fleet.yaml": layout})
		})
	}
}

// TestCosignKeysAreReplacedInTheirFiles replaces the key file of an open
// source.
func TestCosignKeysAreReplacedInTheirFiles(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	old, new := cosignKeys(t)
	old.sign("bundle", server.name(server.pushSome("v1", "one")))
	current := cosignKey{t, "", filepath.Join(t.TempDir(), "cosign.pub")}
	replace := func(by cosignKey) {
		text, err := os.ReadFile(by.public)
		must(t, err)
		must(t, os.WriteFile(current.public, text, 0o600))
	}
	replace(old)
	s := server.openSigned("v1", current)
	fetch(t, s, "")
	replace(new)
	digest := server.pushSome("v1", "two")
	old.sign("bundle", server.name(digest))
	wantRefused(t, s, "v1@"+digest, "none of the keys")
	new.sign("tag", server.name(digest))
	wantContents(t, fetch(t, s, "").Tree, map[string]string{"fleet.yaml": "two"})
}

// TestCosignIgnoresLogEntries uses a signature that is also in a
// transparency log, which is Cosign's default. The log is unknown here.
func TestCosignIgnoresLogEntries(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	digest := server.pushSome("v1", "one")
	key.sign("bundle", server.name(digest))
	var bundle map[string]any
	must(t, json.Unmarshal(server.bundleOf(digest), &bundle))
	bundle["verificationMaterial"].(map[string]any)["tlogEntries"] = []any{logEntry(key, bundle["dsseEnvelope"].(map[string]any))}
	text, err := json.Marshal(bundle)
	must(t, err)
	server.listBundles(digest, server.pushBundle(digest, text))
	fetch(t, server.openSigned("v1", key), "")
}

// logEntry returns a log's entry for the signature of an envelope.
func logEntry(key cosignKey, envelope map[string]any) map[string]any {
	key.t.Helper()
	public, err := os.ReadFile(key.public)
	must(key.t, err)
	payload, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
	must(key.t, err)
	payloadType := envelope["payloadType"].(string)
	hash := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload))
	body, err := json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": map[string]any{
		"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": fmt.Sprintf("%x", hash)}},
		"signature": map[string]any{"content": envelope["signatures"].([]any)[0].(map[string]any)["sig"], "publicKey": map[string]any{"content": public}},
	}})
	must(key.t, err)
	return map[string]any{
		"logIndex": "1", "logId": map[string]any{"keyId": []byte("a log")}, "integratedTime": "1700000000",
		"kindVersion": map[string]any{"kind": "hashedrekord", "version": "0.0.1"}, "canonicalizedBody": body,
		"inclusionProof": map[string]any{"treeSize": "2", "rootHash": []byte("x"), "checkpoint": map[string]any{"envelope": "x"}},
	}
}

// TestCosignAsksOnlyTheRegistry checks everything that uses the default client.
// Requests to the registry use another client.
func TestCosignAsksOnlyTheRegistry(t *testing.T) {
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	for layout := range cosignLayouts {
		key.sign(layout, server.name(server.pushSome(layout, layout)))
	}
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = roundTripper(func(r *http.Request) (*http.Response, error) {
		t.Errorf("%s %s was asked for", r.Method, r.URL)
		return nil, http.ErrAbortHandler
	})
	t.Setenv("HOME", t.TempDir()) // A trusted root would be stored here.
	for layout := range cosignLayouts {
		fetch(t, server.openSigned(layout, key), "")
	}
	if kept, err := os.ReadDir(os.Getenv("HOME")); err != nil || len(kept) > 0 {
		t.Errorf("files were written: %v, %v", kept, err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
