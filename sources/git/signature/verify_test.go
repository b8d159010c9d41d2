package signature

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// TestGitTrustsOnlyTrustedKeys goes through the kinds of keys that git can
// sign with, commits and tags.
func TestGitTrustsOnlyTrustedKeys(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	other := trustKeys(t, l.export(l.openPGPKey("other", "ed25519", "never")), l.sshKey("other", "ed25519"))
	unsigned := map[string][]byte{"commit": l.commit(nil, "unsigned"), "tag": l.tag(nil, "unsigned", "unsigned")}

	type signing struct {
		name, signer string
		keys         *Keys
		by           signer
	}
	var all []signing
	for _, algorithm := range []string{"ed25519", "rsa2048", "nistp256", "nistp384", "nistp521", "brainpoolP256r1", "secp256k1"} {
		key := l.openPGPKey(strings.ToLower(algorithm), algorithm, "never")
		all = append(all, signing{"openpgp " + algorithm, shortID(key), trustKeys(t, l.export(key)), byOpenPGP(key)})
	}
	for name, flags := range map[string][]string{"ed25519": nil, "rsa": {"-b", "2048"}, "ecdsa": {"-b", "384"}} {
		public := l.sshKey(name, name, flags...)
		fingerprint := strings.Fields(string(l.run(nil, "ssh-keygen", "-l", "-f", public)))[1]
		all = append(all, signing{"ssh " + name, fingerprint, trustKeys(t, public), bySSH(public)})
	}
	for i, s := range all {
		t.Run(s.name, func(t *testing.T) {
			made := map[string][]byte{"commit": l.commit(s.by, "signed"), "tag": l.tag(s.by, fmt.Sprint("v", i), "signed")}
			for kind, raw := range made {
				wantVerified(t, s.keys, kind, raw)
				wantUnverified(t, other, kind, raw, "the "+kind+" claims to be signed by the", s.signer, "not trusted", other.trusted())
				wantUnverified(t, s.keys, kind, unsigned[kind], "the "+kind+" is not signed", s.keys.trusted())
				if !l.gitVerifies(kind, raw) {
					t.Errorf("git does not verify the %s that it signed", kind)
				}
			}
		})
	}
}

// TestGitSignatureIsOfOneObject holds a signature against everything that it was
// not made for.
func TestGitSignatureIsOfOneObject(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	pgp, public := l.openPGPKey("anna", "ed25519", "never"), l.sshKey("anna", "ed25519")
	keys := trustKeys(t, l.export(pgp), public)
	for name, by := range map[string]signer{"openpgp": byOpenPGP(pgp), "ssh": bySSH(public)} {
		t.Run(name, func(t *testing.T) {
			first := l.commit(by, "first of "+name)
			second := l.commit(by, "second of "+name)
			wantVerified(t, keys, "commit", first)
			const wrong = "does not match this content"
			wantUnverified(t, keys, "commit", replaced(t, second, "second", "3rd"), wrong)
			wantUnverified(t, keys, "commit", replaced(t, second, "author Test", "author Tess"), wrong)
			wantUnverified(t, keys, "commit", append(append([]byte{}, second...), "more\n"...), wrong)
			tree := l.git("rev-parse", "HEAD^{tree}")
			wantUnverified(t, keys, "commit", replaced(t, second, tree, strings.Repeat("0", 40)), wrong)
			one, two := signatureOf(t, "commit", first), signatureOf(t, "commit", second)
			wantUnverified(t, keys, "commit", replaced(t, second, folded(two), folded(one)), wrong)

			tag := l.tag(by, "v-"+name, "a version")
			wantVerified(t, keys, "tag", tag)
			wantUnverified(t, keys, "tag", replaced(t, tag, "a version", "A version"), wrong)
			wantUnverified(t, keys, "tag", replaced(t, tag, "tag v-", "tag w-"), wrong)
			wantUnverified(t, keys, "tag", replaced(t, tag, string(signatureOf(t, "tag", tag)), string(two)), wrong)
			wantUnverified(t, keys, "commit", tag)
			wantUnverified(t, keys, "tag", second)
		})
	}
}

func signatureOf(t *testing.T, kind string, raw []byte) []byte {
	t.Helper()
	split := splitCommit
	if kind == "tag" {
		split = splitTag
	}
	o, err := split(raw)
	if err != nil {
		t.Fatal(err)
	}
	return o.signature
}

// folded is a signature as it stands in a commit.
func folded(signature []byte) string {
	return "gpgsig " + strings.ReplaceAll(strings.TrimSuffix(string(signature), "\n"), "\n", "\n ") + "\n"
}

func TestGitSignatureWithOddCommits(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	pgp, public := l.openPGPKey("anna", "ed25519", "never"), l.sshKey("anna", "ed25519")
	stranger := l.openPGPKey("stranger", "ed25519", "never")
	keys := trustKeys(t, l.export(pgp), public)
	base := l.commit(nil, "base")
	for name, by := range map[string]signer{"openpgp": byOpenPGP(pgp), "ssh": bySSH(public)} {
		t.Run(name, func(t *testing.T) {
			l.git("checkout", "--quiet", "--detach", "main")
			l.commit(nil, "on the side of "+name)
			l.tag(byOpenPGP(stranger), "side-"+name, "a tag of somebody else")
			l.git("checkout", "--quiet", "main")
			l.commit(by, "meanwhile, "+name, "--date", "2001-02-03T04:05:06+0545")
			l.git(append(append([]string{}, by...), "merge", "--quiet", "--no-edit", "--gpg-sign", "--strategy=ours", "side-"+name)...)
			merge := l.object("HEAD")
			if !strings.Contains(string(merge), "\nmergetag ") {
				t.Fatalf("the merge has no mergetag:\n%s", merge)
			}
			wantVerified(t, keys, "commit", merge)
			wantUnverified(t, keys, "commit", replaced(t, merge, "somebody else", "nobody else"), "does not match this content")
			// What is not signed is not made so by the signed tag in it.
			own := folded(signatureOf(t, "commit", merge))
			wantUnverified(t, trustKeys(t, l.export(stranger)), "commit", replaced(t, merge, own, ""), "the commit is not signed")

			latin := l.commit(by, "m\xfchsam", "--cleanup=verbatim")
			wantVerified(t, keys, "commit", latin)
			encoded := l.commit(append(append(signer{}, by...), "-c", "i18n.commitEncoding=ISO-8859-1"), "m\xfchsam")
			if !strings.Contains(string(encoded), "\nencoding ISO-8859-1\n") {
				t.Fatalf("the commit has no encoding:\n%s", encoded)
			}
			wantVerified(t, keys, "commit", encoded)
			wantUnverified(t, keys, "commit", replaced(t, encoded, "encoding ISO-8859-1\n", ""), "does not match this content")
			wantVerified(t, keys, "commit", l.commit(by, "", "--allow-empty-message"))
			wantVerified(t, keys, "commit", l.commit(by, "a\n\n\ngpgsig in a message\n gpgsig", "--cleanup=verbatim"))
		})
	}
	t.Run("extra headers", func(t *testing.T) {
		// What other tools write, go-git forgets, or did.
		payload := replaced(t, base, "committer", "committer")
		payload = replaced(t, payload, "\n\n", "\nHG:extra source:abc\nchange-id kmnp\n two lines\nsvn-rev 1\n\n")
		raw := signedByHand(l, pgp, payload)
		wantVerified(t, keys, "commit", raw)
		wantUnverified(t, keys, "commit", replaced(t, raw, "svn-rev 1\n", ""), "does not match this content")
		wantUnverified(t, keys, "commit", replaced(t, raw, " two lines\n", " 2 lines\n"), "does not match this content")
	})
}

// signedByHand is a commit, signed as git does but whatever it holds.
func signedByHand(l *signingLab, key string, payload []byte) []byte {
	signature := l.run(payload, "gpg", "--batch", "--quiet", "-bsau", key)
	return replaced(l.t, payload, "\n\n", "\n"+folded(signature)+"\n")
}

func TestGitSignatureOfTagWithOthersInIt(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	anna, stranger := l.openPGPKey("anna", "ed25519", "never"), l.openPGPKey("stranger", "ed25519", "never")
	keys := trustKeys(t, l.export(anna))
	l.commit(nil, "base")
	inner := l.tag(byOpenPGP(stranger), "inner", "by a stranger")
	outer := l.tag(byOpenPGP(anna), "outer", "it quotes\n\n"+string(signatureOf(t, "tag", inner))+"\nand goes on")
	wantVerified(t, keys, "tag", outer)
	wantUnverified(t, keys, "tag", inner, shortID(stranger))

	// The last one counts, wherever it comes from.
	good := l.tag(byOpenPGP(anna), "good", "a version")
	block := string(signatureOf(t, "tag", good))
	wantUnverified(t, keys, "tag", append([]byte{}, string(good)+string(signatureOf(t, "tag", inner))...), shortID(stranger))
	wantUnverified(t, keys, "tag", []byte(string(good)+block), "does not match this content")
	// gpg reads past what follows; nobody signed it.
	tail := []byte(string(good) + "and more\n")
	if !l.gitVerifies("tag", tail) {
		t.Log("this git refuses a tag with something behind the signature")
	}
	wantUnverified(t, keys, "tag", tail, "unsigned data follows")
	wantUnverified(t, keys, "tag", replaced(t, good, "\n\n", "\ngpgsig "+strings.ReplaceAll(block, "\n", "\n ")+"\n\n"), "does not begin with")
}

func TestGitRefusesExpiredOrRevokedOpenPGPKeys(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	const then = "--faked-system-time=20200101T000000"
	t.Run("expired", func(t *testing.T) {
		key := l.openPGPKey("expired", "ed25519", "1y", then)
		raw := l.commit(l.withGPG(key, then), "in time")
		wantUnverified(t, trustKeys(t, l.export(key)), "commit", raw, shortID(key), "the key has expired")
		// A longer life takes the place of the shorter one in the key.
		l.gpg("--quick-set-expire", key, "10y", "*")
		// gpg puts the longer life in the place of the shorter, so that the key now
		// says nothing of the time at which it signed.
		l.gpg("--quick-set-expire", key, "never")
		wantVerified(t, trustKeys(t, l.export(key)), "commit", raw)
	})
	t.Run("signature expired", func(t *testing.T) {
		key := l.openPGPKey("brief", "ed25519", "never", then)
		keys := trustKeys(t, l.export(key))
		raw := l.commit(l.withGPG(key, then, "--default-sig-expire=1d"), "for a day")
		wantUnverified(t, keys, "commit", raw, "the signature has expired")
		keys.now = func() time.Time { return time.Date(2020, 1, 1, 12, 0, 0, 0, time.UTC) }
		wantVerified(t, keys, "commit", raw)
	})
	t.Run("clocks", func(t *testing.T) {
		key := l.openPGPKey("early", "ed25519", "never", then)
		keys := trustKeys(t, l.export(key))
		raw := l.commit(byOpenPGP(key), "now")
		now := time.Now()
		keys.now = func() time.Time { return now.Add(-time.Minute) }
		wantVerified(t, keys, "commit", raw)
		keys.now = func() time.Time { return now.Add(-time.Hour) }
		wantUnverified(t, keys, "commit", raw, "in the future")
		if err := keys.VerifyCommit(raw); !errors.Is(err, ErrNotYet) {
			t.Errorf("VerifyCommit = %v, want an ErrNotYet, which is over by itself", err)
		}
		keys.now = time.Now
		// Before the key was there; gpg would not, so that its clock has to be wrong twice.
		raw = l.commit(l.withGPG(key, "--faked-system-time=20190101T000000", "--ignore-time-conflict"), "too old")
		wantUnverified(t, keys, "commit", raw, "older than the key")
	})
	t.Run("revoked", func(t *testing.T) {
		key := l.openPGPKey("revoked", "ed25519", "never")
		before := l.write("before.asc", string(l.gpg("--armor", "--export", key)))
		raw := l.commit(byOpenPGP(key), "still good")
		wantVerified(t, trustKeys(t, before), "commit", raw)
		l.revoke(key)
		after := l.export(key)
		wantUnverified(t, trustKeys(t, after), "commit", raw, shortID(key), "revoked")
		wantUnverified(t, trustKeys(t, before, after), "commit", raw, "revoked")
		wantUnverified(t, trustKeys(t, after, before), "commit", raw, "revoked")
	})
	t.Run("subkeys", func(t *testing.T) {
		key := l.openPGPKey("main", "ed25519", "never")
		l.gpg("--quick-add-key", key, "rsa2048", "sign", "never")
		sub := l.lastSubkey(key)
		raw := l.commit(byOpenPGP(sub+"!"), "by a subkey")
		wantVerified(t, trustKeys(t, l.export(key)), "commit", raw)
		wantVerified(t, trustKeys(t, l.export(key)), "commit", l.commit(byOpenPGP(key+"!"), "by the key"))
		before := l.write("sub-before.asc", string(l.gpg("--armor", "--export", key)))
		l.run([]byte("key 1\nrevkey\ny\n0\n\ny\nsave\n"), "gpg", "--no-tty", "--quiet", "--command-fd", "0", "--pinentry-mode", "loopback", "--edit-key", key)
		wantUnverified(t, trustKeys(t, l.export(key)), "commit", raw, shortID(sub), "revoked")
		wantUnverified(t, trustKeys(t, before, l.export(key)), "commit", raw, shortID(sub), "revoked")
		wantUnverified(t, trustKeys(t, l.export(key), before), "commit", raw, shortID(sub), "revoked")

		l.gpg(then, "--quick-add-key", l.openPGPKey("old", "ed25519", "never", then), "ed25519", "sign", "1y")
		old := l.lastSubkey("old@example.com")
		raw = l.commit(l.withGPG(old+"!", then), "by an old subkey")
		wantUnverified(t, trustKeys(t, l.export(old)), "commit", raw, shortID(old), "expired")
	})
}

// TestGitRefusesOpenPGPKeysNotForSigning signs with a key that only
// certifies, which gpg will not do.
func TestGitRefusesOpenPGPKeysNotForSigning(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	base := l.commit(nil, "base")
	l.gpg("--quick-gen-key", "ca@example.com", "ed25519", "cert", "never")
	keys := trustKeys(t, l.write("ca.asc", string(l.gpg("--armor", "--export", "ca@example.com"))))
	private, err := openpgp.ReadKeyRing(bytes.NewReader(l.gpg("--export-secret-keys", "ca@example.com")))
	if err != nil {
		t.Fatal(err)
	}
	key := private[0].PrivateKey
	sig := &packet.Signature{Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA256, CreationTime: time.Now(), IssuerKeyId: &key.KeyId}
	hash := crypto.SHA256.New()
	hash.Write(base)
	var data bytes.Buffer
	if err := errors.Join(sig.Sign(hash, key, nil), sig.Serialize(&data)); err != nil {
		t.Fatal(err)
	}
	block := rearmored("tag", []byte("x"), []byte("x"), beginOpenPGP, data.Bytes())
	wantUnverified(t, keys, "commit", replaced(t, base, "\n\n", "\n"+folded(block)+"\n"), "not a signing key")
}

// revoke makes use of the certificate that gpg made with the key.
func (l *signingLab) revoke(key string) {
	l.t.Helper()
	certificate := string(l.read(l.home + "/openpgp-revocs.d/" + key + ".rev"))
	l.run([]byte(strings.Replace(certificate, ":-----BEGIN", "-----BEGIN", 1)), "gpg", "--batch", "--quiet", "--import")
}

func (l *signingLab) lastSubkey(key string) string {
	l.t.Helper()
	sub := ""
	for line := range strings.Lines(string(l.gpg("--with-colons", "--list-keys", key))) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			sub = fields[9]
		}
	}
	return sub
}

func TestGitRefusesWeakOpenPGP(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	rsa := l.openPGPKey("rsa", "rsa2048", "never")
	keys := trustKeys(t, l.export(rsa))
	wantUnverified(t, keys, "commit", l.commit(l.withGPG(rsa, "--digest-algo=SHA1"), "weak hash"), "SHA-1", "broken")
	wantVerified(t, keys, "commit", l.commit(l.withGPG(rsa, "--digest-algo=SHA512"), "strong hash"))
	small := l.openPGPKey("small", "rsa1024", "never")
	wantUnverified(t, trustKeys(t, l.export(small)), "commit", l.commit(byOpenPGP(small), "small key"), "1024 bits")
	dsa := l.openPGPKey("dsa", "dsa1024", "never")
	wantUnverified(t, trustKeys(t, l.export(dsa)), "commit", l.commit(l.withGPG(dsa, "--digest-algo=SHA256"), "old key"), "DSA")
	other := l.openPGPKey("other", "ed25519", "never")
	// Two signatures, and one of a text, whose line ends may change under it.
	wantUnverified(t, trustKeys(t, l.export(rsa), l.export(other)), "commit", l.commit(l.withGPG(rsa, "--local-user="+other), "twice"), "more than one")
	text := l.commit(l.withGPG(rsa, "--textmode"), "a text")
	if !l.gitVerifies("commit", replaced(t, text, "a text\n", "a text\r\n")) {
		t.Fatal("git refuses a text's signature with other line ends, which this test is about")
	}
	wantUnverified(t, keys, "commit", text, "of text, not of bytes")

}

func TestGitRefusesX509(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("gpgsm"); err != nil {
		t.Fatal("this test needs gpgsm: make test installs it")
	}
	l := newSigningLab(t)
	parameters := l.write("parameters", "Key-Type: RSA\nKey-Length: 2048\nKey-Usage: sign\nSerial: random\nName-DN: CN=Anna\nName-Email: anna@example.com\n%commit\n")
	certificate := l.run(nil, "gpgsm", "--batch", "--armor", "--quiet", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--gen-key", parameters)
	l.run(certificate, "gpgsm", "--batch", "--quiet", "--disable-crl-checks", "--import")
	id := ""
	for line := range strings.Lines(string(l.run(nil, "gpgsm", "--batch", "--with-colons", "--list-secret-keys"))) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			id = fields[9]
		}
	}
	for name, content := range map[string]string{"trustlist.txt": id + " S relax\n", "gpgsm.conf": "disable-crl-checks\n"} {
		if err := os.WriteFile(filepath.Join(l.home, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.run(nil, "gpgconf", "--kill", "gpg-agent") // It read the list when it started.
	by := signer{"-c", "gpg.format=x509", "-c", "user.signingkey=" + id}
	keys := trustKeys(t, l.sshKey("anna", "ed25519"))
	l.commit(nil, "base")
	wantUnverified(t, keys, "commit", l.commit(by, "by certificate"), "X.509", "OpenPGP and SSH")
	wantUnverified(t, keys, "tag", l.tag(by, "v1", "by certificate"), "X.509", "OpenPGP and SSH")
}
