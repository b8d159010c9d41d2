package sources_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-openapi/runtime"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"         // The log's entries.
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1" // Those of Cosign 1 and 2.
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/tributary-gitops/tributary/sources"
)

// sigstoreServer is a certificate authority with the API of Fulcio, and a
// transparency log with the API of Rekor. It issues certificates for what
// identity tokens say, without a check of the tokens.
type sigstoreServer struct {
	t *testing.T
	*httptest.Server
	authority, issuing *x509.Certificate
	issuingKey         *ecdsa.PrivateKey
	log                *ca.VirtualSigstore
	// issued is when certificates are issued, instead of now.
	issued atomic.Pointer[time.Time]
	// trustedRoot is a trusted_root.json of both.
	trustedRoot string
}

const (
	githubIssuer  = "https://token.actions.githubusercontent.com"
	githubSubject = "https://github.com/acme/fleet/.github/workflows/push.yaml@refs/heads/main"
)

func newSigstoreServer(t *testing.T) *sigstoreServer {
	t.Helper()
	s := &sigstoreServer{t: t}
	var authorityKey *ecdsa.PrivateKey
	var err error
	s.authority, authorityKey, err = ca.GenerateRootCa()
	must(t, err)
	s.issuing, s.issuingKey, err = ca.GenerateFulcioIntermediate(s.authority, authorityKey)
	must(t, err)
	s.log, err = ca.NewVirtualSigstore()
	must(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/signingCert", s.issue)
	mux.HandleFunc("POST /api/v1/log/entries", s.record)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	s.trustedRoot = s.writeRoot(s.log, false)
	return s
}

// writeRoot writes a trusted_root.json with the authority and a log, and with a
// log of certificates if there is one.
func (s *sigstoreServer) writeRoot(log *ca.VirtualSigstore, certificateLog bool) string {
	s.t.Helper()
	var certificateLogs map[string]*root.TransparencyLog
	if certificateLog {
		certificateLogs = logs(s.t, s.log.CTLogs())
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: s.authority, Intermediates: []*x509.Certificate{s.issuing}, URI: s.URL,
		ValidityPeriodStart: time.Now().Add(-24 * time.Hour),
	}}, certificateLogs, nil, logs(s.t, log.RekorLogs()))
	must(s.t, err)
	text, err := trusted.MarshalJSON()
	must(s.t, err)
	file := filepath.Join(s.t.TempDir(), "trusted_root.json")
	must(s.t, os.WriteFile(file, text, 0o600))
	return file
}

// logs corrects the ids of logs.
func logs(t *testing.T, all map[string]*root.TransparencyLog) map[string]*root.TransparencyLog {
	for id, log := range all {
		raw, err := hex.DecodeString(id)
		must(t, err)
		log.ID, log.ValidityPeriodStart = raw, time.Now().Add(-24*time.Hour)
	}
	return all
}

// identityToken returns a token of an issuer. Its signature is noise.
func identityToken(issuer, subject string) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return part(`{"alg":"RS256"}`) + "." + part(fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":"sigstore","exp":%d,"iat":%d}`, issuer, subject, time.Now().Add(time.Hour).Unix(), time.Now().Unix())) + "." + part("signature")
}

// issue issues a certificate as Fulcio does. It checks the proof that the
// client has the key.
func (s *sigstoreServer) issue(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		PublicKeyRequest struct {
			PublicKey         struct{ Content string }
			ProofOfPossession []byte
		}
	}
	var claims struct{ Iss, Sub string }
	token := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	decoded, err := base64.RawURLEncoding.DecodeString(token[min(1, len(token)-1)])
	if err != nil || json.Unmarshal(decoded, &claims) != nil || json.NewDecoder(r.Body).Decode(&asked) != nil {
		http.Error(w, "what?", http.StatusBadRequest)
		return
	}
	block, _ := pem.Decode([]byte(asked.PublicKeyRequest.PublicKey.Content))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	proof := sha256.Sum256([]byte(claims.Sub))
	if err != nil || !ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), proof[:], asked.PublicKeyRequest.ProofOfPossession) {
		http.Error(w, "no proof of possession", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusOK)
	_ = json.NewEncoder(w).Encode(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{
		"certificates": []string{pemText(s.certificate(claims.Iss, claims.Sub, key)), pemText(s.issuing.Raw), pemText(s.authority.Raw)},
	}}})
}

func pemText(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (s *sigstoreServer) certificate(issuer, subject string, key crypto.PublicKey) []byte {
	from := time.Now().Add(-time.Second)
	if at := s.issued.Load(); at != nil {
		from = *at
	}
	san, err := url.Parse(subject)
	must(s.t, err)
	issuerValue, err := asn1.Marshal(issuer)
	must(s.t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(from.UnixNano()), NotBefore: from, NotAfter: from.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, URIs: []*url.URL{san},
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(issuer)},
			{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: issuerValue},
		},
	}, s.issuing, key, s.issuingKey)
	must(s.t, err)
	return der
}

// record adds an entry to the log as Rekor does.
func (s *sigstoreServer) record(w http.ResponseWriter, r *http.Request) {
	entry, err := s.entry(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := strings.Repeat("24", 8) + strings.Repeat("ab", 32)
	w.Header().Set("Location", "/api/v1/log/entries/"+id)
	w.Header().Set("ETag", id)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{id: entry})
}

func (s *sigstoreServer) entry(r *http.Request) (*models.LogEntryAnon, error) {
	proposed, err := models.UnmarshalProposedEntry(r.Body, runtime.JSONConsumer())
	if err != nil {
		return nil, err
	}
	versioned, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return nil, err
	}
	body, err := types.CanonicalizeEntry(r.Context(), versioned)
	if err != nil {
		return nil, err
	}
	id, err := s.log.RekorLogID()
	if err != nil {
		return nil, err
	}
	now, index := time.Now().Unix(), int64(0)
	promise, err := s.log.RekorSignPayload(tlog.RekorPayload{Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: now, LogIndex: index, LogID: id})
	if err != nil {
		return nil, err
	}
	proof, err := s.log.GetInclusionProof(body)
	if err != nil {
		return nil, err
	}
	return &models.LogEntryAnon{
		Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: &now, LogIndex: &index, LogID: &id,
		Verification: &models.LogEntryAnonVerification{InclusionProof: proof, SignedEntryTimestamp: promise},
	}, nil
}

// sign has Cosign sign an artifact without a key.
func (s *sigstoreServer) sign(layout, issuer, subject, artifact string, command ...string) {
	s.t.Helper()
	if len(command) == 0 {
		command = []string{"sign"}
	}
	args := append(slices.Clone(command), "--yes", "--allow-http-registry", "--identity-token", identityToken(issuer, subject))
	dir := s.t.TempDir()
	if layout == "bundle" {
		service := "url=" + s.URL + ",api-version=1,start-time=2024-01-01T00:00:00Z,operator=test"
		config := filepath.Join(dir, "signing.json")
		cosign(s.t, dir, "signing-config", "create", "--fulcio", service, "--rekor", service, "--rekor-config", "ANY", "--out", config)
		args = append(args, "--signing-config", config, "--trusted-root", s.trustedRoot)
	} else {
		args = append(args, "--use-signing-config=false", "--new-bundle-format=false", "--fulcio-url", s.URL, "--rekor-url", s.URL, "--trusted-root", s.trustedRoot)
	}
	cosign(s.t, dir, append(args, artifact)...)
}

// openKeyless opens an artifact that one of the identities must have signed.
func (r *registryServer) openKeyless(tag, trustedRoot string, identities ...sources.Identity) sources.Source {
	r.t.Helper()
	o := r.options()
	o.OCI.Signers.TrustedRootFile, o.OCI.Signers.Identities = trustedRoot, identities
	return openAs(r.t, "oci://"+r.host+"/fleet:"+tag, o)
}

var acmeCI = sources.Identity{Issuer: "^https://token.actions.githubusercontent.com$", Subject: "^https://github.com/acme/.*$"}

func TestCosignAcceptsIdentities(t *testing.T) {
	t.Parallel()
	server, sigstore := newRegistryServer(t), newSigstoreServer(t)
	key, unused := cosignKeys(t)
	for layout := range cosignLayouts {
		t.Run(layout, func(t *testing.T) {
			digest := server.pushSome(layout, layout)
			wantRefused(t, server.openKeyless(layout, sigstore.trustedRoot, acmeCI), layout+"@"+digest, "the artifact is not signed: sign it with cosign sign "+server.name(digest))
			key.sign(layout, server.name(digest))
			wantRefused(t, server.openKeyless(layout, sigstore.trustedRoot, acmeCI), layout+"@"+digest, "1 found: made with a key instead of a certificate")
			sigstore.sign(layout, githubIssuer, githubSubject, server.name(digest))
			wantContents(t, fetch(t, server.openKeyless(layout, sigstore.trustedRoot, acmeCI), "").Tree, map[string]string{"fleet.yaml": layout})

			for _, other := range []sources.Identity{
				{Issuer: acmeCI.Issuer, Subject: "^https://github.com/other/.*$"},
				{Issuer: "^https://accounts.google.com$", Subject: acmeCI.Subject},
			} {
				wantRefused(t, server.openKeyless(layout, sigstore.trustedRoot, other), layout+"@"+digest,
					"made by "+githubSubject+" of "+githubIssuer+", and wanted is "+other.String())
				fetch(t, server.openKeyless(layout, sigstore.trustedRoot, other, acmeCI), "")
			}
			wantRefused(t, server.openSigned(layout, unused), layout+"@"+digest, "made with a certificate instead of a key")

			other := newSigstoreServer(t)
			wantRefused(t, server.openKeyless(layout, other.trustedRoot, acmeCI), layout+"@"+digest, "that no authority in --verify-oci-trusted-root has issued")
			wantRefused(t, server.openKeyless(layout, sigstore.writeRoot(other.log, false), acmeCI), layout+"@"+digest, "without a valid entry in a transparency log of --verify-oci-trusted-root")
			wantRefused(t, server.openKeyless(layout, sigstore.writeRoot(sigstore.log, true), acmeCI), layout+"@"+digest, "is in no log of certificates")
		})
	}
}

// TestCosignRefusesOtherCertificates changes what Cosign signed without a key.
func TestCosignRefusesOtherCertificates(t *testing.T) {
	t.Parallel()
	server, sigstore := newRegistryServer(t), newSigstoreServer(t)
	signed := server.pushSome("signed", "good")
	for layout := range cosignLayouts {
		sigstore.sign(layout, githubIssuer, githubSubject, server.name(signed))
	}
	bundle := server.bundleOf(signed)
	layer := manifestAt[ocispec.Manifest](server, ":"+sigTag(signed)).Layers[0]
	payload := server.blobAt(layer)
	digest := server.pushSome("bad", "bad")
	// change replaces a text, or takes out a field of the material.
	change := func(edit func(b, material map[string]any)) {
		var b map[string]any
		must(t, json.Unmarshal(bundle, &b))
		edit(b, b["verificationMaterial"].(map[string]any))
		text, err := json.Marshal(b)
		must(t, err)
		server.listBundles(digest, server.pushBundle(digest, text))
	}
	entry := func(material map[string]any) map[string]any {
		return material["tlogEntries"].([]any)[0].(map[string]any)
	}
	forge := func(b map[string]any) {
		envelope := b["dsseEnvelope"].(map[string]any)
		statement, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
		must(t, err)
		hex := func(digest string) string { return strings.TrimPrefix(digest, "sha256:") }
		envelope["payload"] = []byte(strings.Replace(string(statement), hex(signed), hex(digest), 1))
	}
	tagged := func(text string, edit func(annotations map[string]string)) {
		annotations := maps.Clone(layer.Annotations)
		edit(annotations)
		server.pushImage("fleet", sigTag(digest), ocispec.MediaTypeImageConfig, blob{cosignPayload, []byte(text), annotations})
	}
	for name, c := range map[string]struct {
		push func()
		want string
	}{
		"another artifact":     {func() { change(func(_, _ map[string]any) {}) }, "made for another artifact, " + signed},
		"statement":            {func() { change(func(b, _ map[string]any) { forge(b) }) }, "without a valid entry in a transparency log"},
		"no log entry":         {func() { change(func(b, m map[string]any) { forge(b); delete(m, "tlogEntries") }) }, "without an entry in a transparency log"},
		"no inclusion proof":   {func() { change(func(b, m map[string]any) { forge(b); delete(entry(m), "inclusionProof") }) }, "in a bundle that cannot be read"},
		"no inclusion promise": {func() { change(func(_, m map[string]any) { delete(entry(m), "inclusionPromise") }) }, "without a time from a log or timestamp authority"},
		"another time":         {func() { change(func(_, m map[string]any) { entry(m)["integratedTime"] = "1700000000" }) }, "and logged at 2023-11-14 22:13:20"},
		"another index":        {func() { change(func(_, m map[string]any) { entry(m)["logIndex"] = "1" }) }, "without a valid entry in a transparency log"},
		"message signature": {func() {
			change(func(b, _ map[string]any) {
				delete(b, "dsseEnvelope")
				b["messageSignature"] = map[string]any{"signature": "AAAA", "messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": "AAAA"}}
			})
		}, "in a bundle without a statement"},
		"large":             {func() { change(func(b, _ map[string]any) { b["padding"] = strings.Repeat("x", 1<<20) }) }, "it is larger than 1 MiB"},
		"copied payload":    {func() { tagged(payload, func(map[string]string) {}) }, "made for another artifact, " + signed},
		"forged payload":    {func() { tagged(strings.Replace(payload, signed, digest, 1), func(map[string]string) {}) }, "without a valid entry in a transparency log"},
		"payload, no log":   {func() { tagged(payload, func(a map[string]string) { delete(a, "dev.sigstore.cosign/bundle") }) }, "without an entry in a transparency log"},
		"payload, bad log":  {func() { tagged(payload, func(a map[string]string) { a["dev.sigstore.cosign/bundle"] = `{}` }) }, "with a certificate or log entry that cannot be read"},
		"payload, bad cert": {func() { tagged(payload, func(a map[string]string) { a["dev.sigstore.cosign/certificate"] = "x" }) }, "with a certificate or log entry that cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			server.listBundles(digest)
			server.pushImage("fleet", sigTag(digest), ocispec.MediaTypeImageConfig)
			c.push()
			wantRefused(t, server.openKeyless("bad", sigstore.trustedRoot, acmeCI), "bad@"+digest, "1 found", c.want)
		})
	}
	fetch(t, server.openKeyless("signed", sigstore.trustedRoot, acmeCI), "")
}

// TestCosignRefusesKeylessAttestations attests something of the artifact with
// the wanted identity, and signs with a certificate that had expired.
func TestCosignRefusesKeylessAttestations(t *testing.T) {
	t.Parallel()
	server, sigstore := newRegistryServer(t), newSigstoreServer(t)
	digest := server.pushSome("v1", "one")
	predicate := filepath.Join(writeTree(t, map[string]string{"predicate": `{"buildType":"x"}`}), "predicate")
	sigstore.sign("bundle", githubIssuer, githubSubject, server.name(digest), "attest", "--predicate", predicate, "--type", "slsaprovenance1")
	wantRefused(t, server.openKeyless("v1", sigstore.trustedRoot, acmeCI), "v1@"+digest, "1 found", "an attestation of https://slsa.dev/provenance/v1")
}

func TestCosignRefusesExpiredCertificates(t *testing.T) {
	t.Parallel()
	server, sigstore := newRegistryServer(t), newSigstoreServer(t)
	digest := server.pushSome("v1", "one")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	early := time.Now().Add(-time.Minute)
	sigstore.issued.Store(&early)
	server.listBundles(digest, server.pushBundle(digest, sigstore.bundle(key, digest)))
	fetch(t, server.openKeyless("v1", sigstore.trustedRoot, acmeCI), "")
	early = time.Now().Add(-11 * time.Minute)
	server.listBundles(digest, server.pushBundle(digest, sigstore.bundle(key, digest)))
	wantRefused(t, server.openKeyless("v1", sigstore.trustedRoot, acmeCI), "v1@"+digest, "1 found: made with a certificate that was valid until ", ", and logged at ")
}

// bundle returns the bundle that Cosign would make with a key.
func (s *sigstoreServer) bundle(key *ecdsa.PrivateKey, artifact string) []byte {
	s.t.Helper()
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`, strings.TrimPrefix(artifact, "sha256:"))
	const payloadType = "application/vnd.in-toto+json"
	hash := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(statement), statement))
	signature, err := key.Sign(rand.Reader, hash[:], crypto.SHA256)
	must(s.t, err)
	certificate := s.certificate(githubIssuer, githubSubject, key.Public())
	envelope, err := json.Marshal(map[string]any{"payload": []byte(statement), "payloadType": payloadType, "signatures": []any{map[string]any{"sig": signature}}})
	must(s.t, err)
	proposed, err := json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": "dsse", "spec": map[string]any{
		"proposedContent": map[string]any{"envelope": string(envelope), "verifiers": [][]byte{[]byte(pemText(certificate))}},
	}})
	must(s.t, err)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(proposed))).WithContext(s.t.Context())
	entry, err := s.entry(r)
	must(s.t, err)
	proof := entry.Verification.InclusionProof
	id, _ := hex.DecodeString(*entry.LogID)
	rootHash, _ := hex.DecodeString(*proof.RootHash)
	text, err := json.Marshal(map[string]any{
		"mediaType": cosignBundle,
		"verificationMaterial": map[string]any{
			"certificate": map[string]any{"rawBytes": certificate},
			"tlogEntries": []any{map[string]any{
				"logIndex": "0", "logId": map[string]any{"keyId": id}, "kindVersion": map[string]any{"kind": "dsse", "version": "0.0.1"},
				"integratedTime": fmt.Sprint(*entry.IntegratedTime), "canonicalizedBody": entry.Body,
				"inclusionPromise": map[string]any{"signedEntryTimestamp": []byte(entry.Verification.SignedEntryTimestamp)},
				"inclusionProof":   map[string]any{"logIndex": "0", "treeSize": "1", "rootHash": rootHash, "checkpoint": map[string]any{"envelope": *proof.Checkpoint}},
			}},
		},
		"dsseEnvelope": json.RawMessage(envelope),
	})
	must(s.t, err)
	return text
}

func TestIdentitiesNeedATrustedRoot(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushSome("v1", "one")
	o := sources.Options{}
	o.OCI.Signers.Identities = []sources.Identity{acmeCI}
	_, err := sources.Open("oci://host/repo:v1", o)
	wantText(t, err, "--verify-oci-identity needs --verify-oci-trusted-root")
	o.OCI.Signers.TrustedRootFile = "root"
	_, err = sources.Open("https://host/repo", o)
	wantText(t, err, "apply only to an oci:// source")
	o.OCI.Signers.Identities = nil
	_, err = sources.Open("oci://host/repo:v1", o)
	wantText(t, err, "has no effect without --verify-oci-identity")
	fetchError(t, server.openKeyless("v1", secretFile(t, "{}"), acmeCI), "is not a trusted_root.json")
	for text, want := range map[string]string{
		"subject=a":            "is not an identity: write 'issuer=REGEXP subject=REGEXP'",
		"issuer=( subject=.*":  "( is not a regular expression",
		"issuer=.* subject=a)": "a) is not a regular expression",
	} {
		_, err := sources.ParseIdentity(text)
		wantText(t, err, want)
	}
}
