package sources_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestCosignRefusesSignaturesOfOtherArtifacts copies valid signatures to other
// artifacts, as anyone who may push can.
func TestCosignRefusesSignaturesOfOtherArtifacts(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	signed := server.pushSome("signed", "good")
	for layout := range cosignLayouts {
		key.sign(layout, server.name(signed))
	}
	other := "made for another artifact, " + signed
	for name, put := range map[string]func(digest string){
		"tag": func(digest string) {
			server.oras("", "tag", server.host+"/fleet:"+sigTag(signed), sigTag(digest))
		},
		"list of bundles": func(digest string) {
			server.oras("", "tag", server.host+"/fleet:"+bundleTag(signed), bundleTag(digest))
		},
		"bundle": func(digest string) {
			server.listBundles(digest, server.pushBundle(digest, server.bundleOf(signed)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			digest := server.pushSome("bad", name)
			put(digest)
			wantRefused(t, server.openSigned("bad", key), "bad@"+digest, "1 found", other)
		})
	}
	fetch(t, server.openSigned("signed", key), "")
}

// TestCosignRefusesForgedSignatures uses texts that name the right artifact,
// with signatures of other texts.
func TestCosignRefusesForgedSignatures(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	signed := server.pushSome("signed", "good")
	for layout := range cosignLayouts {
		key.sign(layout, server.name(signed))
	}
	layer := manifestAt[ocispec.Manifest](server, ":"+sigTag(signed)).Layers[0]
	payload := server.blobAt(layer)
	var bundle map[string]any
	must(t, json.Unmarshal(server.bundleOf(signed), &bundle))
	digest := server.pushSome("bad", "bad")
	forged := strings.Replace(payload, signed, digest, 1)
	pushLayer := func(text string, annotations map[string]string) {
		server.pushImage("fleet", sigTag(digest), ocispec.MediaTypeImageConfig, blob{cosignPayload, []byte(text), annotations})
	}
	pushEnvelope := func(change func(envelope map[string]any)) {
		t.Helper()
		envelope := maps.Clone(bundle["dsseEnvelope"].(map[string]any))
		change(envelope)
		text, err := json.Marshal(map[string]any{"mediaType": bundle["mediaType"], "verificationMaterial": bundle["verificationMaterial"], "dsseEnvelope": envelope})
		must(t, err)
		server.listBundles(digest, server.pushBundle(digest, text))
	}
	forge := func(envelope map[string]any) {
		statement, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
		must(t, err)
		hex := func(digest string) string { return strings.TrimPrefix(digest, "sha256:") }
		envelope["payload"] = []byte(strings.Replace(string(statement), hex(signed), hex(digest), 1))
	}
	for name, c := range map[string]struct {
		push func()
		want string
	}{
		"payload":      {func() { pushLayer(forged, layer.Annotations) }, "none of the keys"},
		"no signature": {func() { pushLayer(forged, nil) }, "that Cosign did not create"},
		"not base64":   {func() { pushLayer(forged, map[string]string{cosignSignatureNote: "%"}) }, "that Cosign did not create"},
		"noise":        {func() { pushLayer(forged, map[string]string{cosignSignatureNote: "bm9pc2U="}) }, "none of the keys"},
		"statement":    {func() { pushEnvelope(forge) }, "none of the keys"},
		"no signatures": {func() {
			pushEnvelope(func(e map[string]any) { forge(e); e["signatures"] = []any{} })
		}, "none of the keys"},
		"another type": {func() { pushEnvelope(func(e map[string]any) { e["payloadType"] = "text/plain" }) }, "none of the keys"},
		"no envelope":  {func() { server.listBundles(digest, server.pushBundle(digest, []byte(`{}`))) }, "cannot be read"},
		"no JSON":      {func() { server.listBundles(digest, server.pushBundle(digest, []byte(`}`))) }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			server.listBundles(digest)
			server.pushImage("fleet", sigTag(digest), ocispec.MediaTypeImageConfig)
			c.push()
			wantRefused(t, server.openSigned("bad", key), "bad@"+digest, "1 found", c.want)
		})
	}
	server.listBundles(digest, server.pushBundle(digest, []byte(`{}`)))
	key.sign("tag", server.name(digest))
	fetch(t, server.openSigned("bad", key), "") // One valid signature is enough.

	m := manifestAt[ocispec.Manifest](server, ":"+sigTag(digest))
	for i := range m.Layers {
		m.Layers[i].MediaType = "text/plain"
	}
	server.pushManifest("fleet", sigTag(digest), m.MediaType, m)
	wantRefused(t, server.openSigned("bad", key), "bad@"+digest, "that Cosign did not create")
}

// TestCosignRefusesOtherSignedTexts signs texts that are not signatures of the
// artifact with the trusted key.
func TestCosignRefusesOtherSignedTexts(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	digest := server.pushSome("v1", "one")
	for name, c := range map[string]struct{ text, want string }{
		"another type":   {`{"critical":{"type":"atomic container signature","image":{"docker-manifest-digest":"` + digest + `"}}}`, "of something that is not an artifact"},
		"no type":        {`{"critical":{"image":{"docker-manifest-digest":"` + digest + `"}}}`, "of something that is not an artifact"},
		"no JSON":        {digest, "of something that is not an artifact"},
		"no digest":      {`{"critical":{"type":"cosign container image signature"}}`, "made for another artifact"},
		"another digest": {`{"critical":{"type":"cosign container image signature","image":{"docker-manifest-digest":"sha256:12\n34"}}}`, "made for another artifact"},
	} {
		t.Run(name, func(t *testing.T) {
			server.pushImage("fleet", sigTag(digest), ocispec.MediaTypeImageConfig, blob{cosignPayload, []byte(c.text), map[string]string{cosignSignatureNote: key.signBlob(c.text)}})
			wantRefused(t, server.openSigned("v1", key), "v1@"+digest, "1 found", c.want)
		})
	}
}

// signBlob returns the signature of a text in base64.
func (k cosignKey) signBlob(text string) string {
	k.t.Helper()
	dir := writeTree(k.t, map[string]string{"text": text})
	cosign(k.t, dir, "sign-blob", "--key", k.private, "--yes", "--tlog-upload=false", "--use-signing-config=false", "--new-bundle-format=false", "--output-signature", "signature", "text")
	signature, err := os.ReadFile(filepath.Join(dir, "signature"))
	must(k.t, err)
	return strings.TrimSpace(string(signature))
}

// TestCosignAttestationIsNotASignature signs a description of the artifact with
// the trusted key.
func TestCosignAttestationIsNotASignature(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	predicate := filepath.Join(writeTree(t, map[string]string{"predicate": `{"buildType":"x"}`}), "predicate")
	for layout := range cosignLayouts {
		t.Run(layout, func(t *testing.T) {
			digest := server.pushSome(layout, layout)
			want := []string{"1 found", "an attestation of https://slsa.dev/provenance/v1, which is not a signature"}
			key.run("attest", layout, server.name(digest), "--predicate", predicate, "--type", "slsaprovenance1")
			if layout == "tag" {
				wantRefused(t, server.openSigned(layout, key), layout+"@"+digest, "is not signed")
				server.oras("", "tag", server.host+"/fleet:"+bundleTag(digest)+".att", sigTag(digest))
				want = []string{"1 found", "in a layer that Cosign did not create"}
			}
			wantRefused(t, server.openSigned(layout, key), layout+"@"+digest, want...)
			key.sign("bundle", server.name(digest))
			fetch(t, server.openSigned(layout, key), "")
		})
	}
}

// TestCosignRefusesMessageSignatures expects the same as cosign verify, which
// requires a statement that names the artifact.
func TestCosignRefusesMessageSignatures(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	key, _ := cosignKeys(t)
	digest := server.pushSome("v1", "one")
	dir := writeTree(t, map[string]string{"manifest": server.oras("", "manifest", "fetch", server.name(digest))})
	cosign(t, dir, "sign-blob", "--key", key.private, "--yes", "--tlog-upload=false", "--use-signing-config=false", "--bundle", "bundle", "manifest")
	bundle, err := os.ReadFile(filepath.Join(dir, "bundle"))
	must(t, err)
	server.listBundles(digest, server.pushBundle(digest, bundle))
	wantRefused(t, server.openSigned("v1", key), "v1@"+digest, "1 found", "in a bundle without a statement")
}
