package signature

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"
)

// TestGitReadsKeysAsFluxDoes has one secret's files of every kind: .asc, .sshpub
// and what gpg and ssh-keygen write elsewhere.
func TestGitReadsKeysAsFluxDoes(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	anna, bert := l.openPGPKey("anna", "ed25519", "never"), l.openPGPKey("bert", "rsa2048", "never")
	carl, dora := l.sshKey("carl", "ed25519"), l.sshKey("dora", "ecdsa")
	signed := map[string][]byte{}
	for name, by := range map[string]signer{"anna": byOpenPGP(anna), "bert": byOpenPGP(bert), "carl": bySSH(carl), "dora": bySSH(dora)} {
		signed[name] = l.commit(by, "by "+name)
	}
	one, two := string(l.gpg("--armor", "--export", anna)), string(l.gpg("--armor", "--export", bert))
	sshLines := string(l.read(carl)) + "\n# a comment\n\n" + string(l.read(dora))
	for _, c := range []struct{ name, content, whose string }{
		{"one key", one, "anna"},
		{"a keyring", string(l.gpg("--armor", "--export")), "anna bert"},
		{"a binary keyring", string(l.gpg("--export")), "anna bert"},
		{"blocks behind one another", one + two, "anna bert"},
		{"text around", "Keys of the team:\n" + one + "and\n" + two + "that is all", "anna bert"},
		{"line ends of Windows", strings.ReplaceAll(one+two, "\n", "\r\n"), "anna bert"},
		{"indented", strings.ReplaceAll(one, "\n", "\n  "), "anna"},
		{"authorized_keys", sshLines, "carl dora"},
		{"authorized_keys of Windows", strings.ReplaceAll(sshLines, "\n", "\r\n"), "carl dora"},
		{"no line end", strings.TrimSpace(string(l.read(carl))), "carl"},
		{"allowed_signers", string(l.read(filepath.Join(l.keys, "allowed_signers"))), "carl dora"},
		{"pattern and options", `*@example.com,"somebody \" else" namespaces="file,git",valid-after="20200101" ` + string(l.read(carl)), "carl"},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys := trustKeys(t, l.write("keys", c.content))
			for name, raw := range signed {
				if strings.Contains(c.whose, name) {
					wantVerified(t, keys, "commit", raw)
				} else {
					wantUnverified(t, keys, "commit", raw, "not trusted")
				}
			}
		})
	}
	t.Run("all files", func(t *testing.T) {
		keys := trustKeys(t, l.write("one.asc", one), l.write("two.asc", two), carl, dora)
		for _, raw := range signed {
			wantVerified(t, keys, "commit", raw)
		}
		if got := keys.trusted(); !strings.HasPrefix(got, shortID(anna)+", "+shortID(bert)+", SHA256:") || !strings.HasSuffix(got, " and 1 more") {
			t.Errorf("trusted() = %q, want the first three and 1 more", got)
		}
	})
}

func TestGitKeysSumChangesWithFiles(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	a, b := string(l.read(l.sshKey("a", "ed25519"))), string(l.read(l.sshKey("b", "ed25519")))
	sum := func(contents ...string) [sha256.Size]byte {
		var files []string
		for i, content := range contents {
			files = append(files, l.write(fmt.Sprint("file", i), content))
		}
		return trustKeys(t, files...).sum
	}
	if first, again := sum(a, b), sum(a, b); first != again {
		t.Error("the same files have different sums")
	}
	if sum(a) == sum(b) || sum(a) == sum(a+b) || sum(a, b) == sum(a+b) || sum(a, b+a) == sum(a+b, a) {
		t.Error("different files have the same sum")
	}
}

func TestGitKeyFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	key := strings.TrimSpace(string(l.read(l.sshKey("a", "ed25519"))))
	weak := strings.TrimSpace(string(l.read(l.sshKey("weak", "rsa", "-b", "1024"))))
	pgp := l.openPGPKey("anna", "ed25519", "never")
	armored := string(l.gpg("--armor", "--export", pgp))
	for _, c := range []struct{ name, content, want string }{
		{"empty", "", ": contains no OpenPGP or SSH public key"},
		{"only comments", "# none\n\n", ": contains no OpenPGP or SSH public key"},
		{"prose", "# keys\nmy key\n", ":2: is not an SSH public key"},
		{"broken key", "# keys\n\nssh-ed25519 AAAA\n", ":3: is not an SSH public key"},
		{"no key", "ssh-ed25519\n", ":1: is not an SSH public key"},
		{"another kind than it says", strings.Replace(key, "ssh-ed25519", "ssh-rsa", 1), ":1: is not an SSH public key"},
		{"weak key", weak, ":1: an RSA key of 1024 bits is too weak"},
		{"old kind", "ssh-dss AAAA", ":1: an SSH key of the kind ssh-dss is not supported"},
		{"certificate", "ssh-ed25519-cert-v01@openssh.com AAAA", ":1: an SSH key of the kind ssh-ed25519-cert-v01@openssh.com is not supported"},
		{"good and bad", key + "\nx@example.com " + key + "\nx y z\n", ":3: is not an SSH public key"},
		{"cert-authority", "x@example.com cert-authority " + key, "the option cert-authority of an SSH key is not supported"},
		{"cert-authority as in authorized_keys", "cert-authority " + key, "the options cert-authority before an SSH key"},
		{"restricted", "restrict,pty " + key, "the options restrict,pty"},
		{"restricted otherwise", "no-pty " + key, "the options no-pty"},
		{"command", `command="sh x" ` + key, "the options command="},
		{"expiry", `expiry-time="20200101" ` + key, "the options expiry-time="},
		{"verify-required", "x@example.com verify-required " + key, "the option verify-required"},
		{"twice", `x@example.com valid-after="20200101",valid-after="20210101" ` + key, "valid-after is repeated"},
		{"time", `x@example.com valid-after="soon" ` + key, "the option valid-after is not valid"},
		{"part of a second", `x@example.com valid-after="20200101000000.5" ` + key, "the option valid-after is not valid"},
		{"half a time", `x@example.com valid-before="2020" ` + key, "the option valid-before is not valid"},
		{"time without quotes", `x@example.com valid-before=20200101 ` + key, "the option valid-before is not valid"},
		{"pattern", `x@example.com namespaces="g*" ` + key, "the option namespaces is not valid"},
		{"negation", `x@example.com namespaces="!git,file" ` + key, "the option namespaces is not valid"},
		{"only another namespace", `x@example.com namespaces="file" ` + key, ": contains no OpenPGP or SSH public key for git"},
		{"private SSH key", string(l.read(filepath.Join(l.keys, "a"))), ": contains a private key"},
		{"private OpenPGP key", string(l.gpg("--armor", "--export-secret-keys", pgp)), ": contains a private key"},
		{"private binary OpenPGP key", string(l.gpg("--export-secret-keys", pgp)), ": contains a private key"},
		{"cut off", armored[:len(armored)-20], "the OpenPGP key is cut off"},
		{"no key in armor", strings.Join([]string{beginKeyring, "", "aGVsbG8=", endKeyring, ""}, "\n"), "OpenPGP"},
		{"revocation certificate behind its key", armored + armoredRevocation(l, pgp), "contains a revocation certificate without its key"},
		{"revocation certificate alone", armoredRevocation(l, pgp), "contains a revocation certificate without its key"},
		{"half a binary key", string(l.gpg("--export", pgp)[:40]), "OpenPGP"},
		{"SSH key beside OpenPGP keys", armored + key + "\n", "move it to a file of its own"},
		{"too large", strings.Repeat("# padding\n", maxKeyFile/10+1), ": is larger than 1 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := l.write("keys", c.content)
			k, err := ReadKeys([]string{file})
			if err == nil {
				t.Fatalf("ReadKeys = %s, want an error with %q", k.trusted(), c.want)
			}
			if !strings.HasPrefix(err.Error(), file) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ReadKeys: %q, want it to say %q and to begin with the file", err, c.want)
			}
			if strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("ReadKeys: %q is more than a line", err)
			}
		})
	}
	if _, err := ReadKeys([]string{filepath.Join(l.keys, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadKeys of a file that is not there: %v", err)
	}
	if _, err := ReadKeys(nil); err == nil {
		t.Error("ReadKeys of no files succeeds, and then nothing would be trusted or everything")
	}
}

// armoredRevocation is the certificate that gpg makes with each key, and which it
// spoils so that nobody takes it by a slip.
func armoredRevocation(l *signingLab, key string) string {
	_, certificate, _ := strings.Cut(string(l.read(filepath.Join(l.home, "openpgp-revocs.d", key+".rev"))), ":-----BEGIN")
	return "-----BEGIN" + certificate
}

// TestGitLeavesOutKeysThatCannotBeUsed keeps one odd key from making a team's
// keyring useless, and says so to who signs with it.
func TestGitLeavesOutKeysThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	odd, good := l.openPGPKey("odd", "ed25519", "never"), l.openPGPKey("good", "ed25519", "never")
	nameless := withoutNames(t, l.gpg("--export", odd))
	ring := append(nameless, l.gpg("--export", good)...)
	keys := trustKeys(t, l.write("ring", string(ring)))
	wantVerified(t, keys, "commit", l.commit(byOpenPGP(good), "good"))
	wantUnverified(t, keys, "commit", l.commit(byOpenPGP(odd), "odd"), shortID(odd), "of the keys in the key files 1 cannot be used", "identities")
	if _, err := ReadKeys([]string{l.write("nameless", string(nameless))}); err == nil || !strings.Contains(err.Error(), "no usable OpenPGP key") {
		t.Errorf("ReadKeys of a key without names: %v", err)
	}
}

// TestGitLeavesOutKeysWithoutSelfSignature has a key whose only name is revoked,
// with nothing that says what the key is for: go-crypto would fall over it.
func TestGitLeavesOutKeysWithoutSelfSignature(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	key := l.openPGPKey("anna", "ed25519", "never")
	l.gpg("--quick-add-key", key, "ed25519", "sign", "never")
	raw := l.commit(byOpenPGP(l.lastSubkey(key)+"!"), "by a subkey")
	l.gpg("--quick-add-uid", key, "second@example.com")
	l.gpg("--quick-revoke-uid", key, "anna@example.com")
	good := l.openPGPKey("good", "ed25519", "never")
	var ring bytes.Buffer
	packets := packet.NewOpaqueReader(bytes.NewReader(l.gpg("--export", key)))
	for {
		p, err := packets.Next()
		if err != nil {
			break
		}
		if certifies := p.Tag == 2 && p.Contents[1] >= 0x10 && p.Contents[1] <= 0x13; !certifies {
			if err := p.Serialize(&ring); err != nil {
				t.Fatal(err)
			}
		}
	}
	ring.Write(l.gpg("--export", good))
	keys := trustKeys(t, l.write("ring", ring.String()))
	wantUnverified(t, keys, "commit", raw, "no self-signature")
}

// withoutNames is the first packet of a key alone.
func withoutNames(t *testing.T, key []byte) []byte {
	t.Helper()
	if key[0] != 0x98 { // An old packet of a public key, with one byte of length.
		t.Fatalf("gpg exports a key that begins with %x", key[0])
	}
	return bytes.Clone(key[:2+int(key[1])])
}

func TestGitHonorsTimesOfSSHKeys(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	public := l.sshKey("a", "ed25519")
	key := string(l.read(public))
	raw := l.commit(bySSH(public), "signed")
	o, err := splitCommit(raw)
	if err != nil {
		t.Fatal(err)
	}
	text := func(at time.Time) string { return at.UTC().Format("20060102150405") + "Z" }
	for _, c := range []struct {
		options string
		// later is how long after the commit it is looked at.
		later time.Duration
		want  string
	}{
		{`valid-after="` + text(o.createdAt) + `"`, 0, ""},
		{`valid-after="` + text(o.createdAt.Add(time.Second)) + `"`, time.Hour, "is valid from"},
		{`valid-before="` + text(o.createdAt) + `"`, 0, ""},
		{`valid-before="` + text(o.createdAt.Add(-time.Second)) + `"`, 0, "has expired"},
		{`valid-before="` + text(o.createdAt.Add(time.Hour)) + `"`, time.Hour, ""},
		{`valid-before="` + text(o.createdAt.Add(time.Hour)) + `"`, time.Hour + time.Second, "has expired"},
		{`valid-after="20200101",valid-before="20990101"`, 0, ""},
		{`VALID-AFTER="202001010000",namespaces="git",valid-before="20990101"`, 0, ""},
	} {
		line := "test@example.com " + c.options + " " + key
		keys := trustKeys(t, l.write("allowed_signers", line))
		keys.now = func() time.Time { return o.createdAt.Add(c.later) }
		if c.want != "" {
			wantUnverified(t, keys, "commit", raw, c.want)
			// With two lines for a key, either is enough.
			keys = trustKeys(t, l.write("both", line+key))
			keys.now = func() time.Time { return o.createdAt.Add(c.later) }
			wantVerified(t, keys, "commit", raw)
			continue
		}
		wantVerified(t, keys, "commit", raw)
		if !strings.Contains(c.options, `Z"`) && !l.gitVerifies("commit", raw) {
			t.Errorf("git does not verify with %s", c.options)
		}
	}
}

func TestGitTimesOfSSHKeysAreInTheZoneOfTheMachine(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 3600)
	for value, want := range map[string]time.Time{
		`"20260131"`:        time.Date(2026, 1, 31, 0, 0, 0, 0, zone),
		`"202601312359"`:    time.Date(2026, 1, 31, 23, 59, 0, 0, zone),
		`"20260131235958"`:  time.Date(2026, 1, 31, 23, 59, 58, 0, zone),
		`"20260131Z"`:       time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC),
		`"20260131235958Z"`: time.Date(2026, 1, 31, 23, 59, 58, 0, time.UTC),
	} {
		if got, err := parseSignerTime("valid-after", value, zone); err != nil || !got.Equal(want) {
			t.Errorf("parseSignerTime(%s) = %v, %v, want %v", value, got, err, want)
		}
	}
}

// TestGitRefusesSSHSignaturesForOtherThings signs what git would, as ssh-keygen
// would for something else.
func TestGitRefusesSSHSignaturesForOtherThings(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	public := l.sshKey("a", "rsa", "-b", "2048")
	keys := trustKeys(t, public)
	base := l.commit(nil, "base")
	for _, c := range []struct{ namespace, hash, want string }{
		{"git", "sha256", ""}, {"git", "sha512", ""}, {"file", "sha512", "namespace file, not git"},
	} {
		signature := l.run(base, "ssh-keygen", "-q", "-Y", "sign", "-n", c.namespace, "-O", "hashalg="+c.hash, "-f", strings.TrimSuffix(public, ".pub"))
		raw := replaced(t, base, "\n\n", "\n"+folded(signature)+"\n")
		if c.want == "" {
			wantVerified(t, keys, "commit", raw)
		} else {
			wantUnverified(t, keys, "commit", raw, c.want)
		}
		if got := l.gitVerifies("commit", raw); got != (c.want == "") {
			t.Errorf("git verifies a signature for %s with %s: %v", c.namespace, c.hash, got)
		}
	}
}

// TestGitTrustsSSHKeysInHardware signs as a security key does, where ssh-keygen
// is to say whether it was done right. Nobody touched the key for the second one.
func TestGitTrustsSSHKeysInHardware(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	base := l.commit(nil, "base")
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, private.Public().(ed25519.PublicKey), "ssh:"})
	line := ssh.KeyAlgoSKED25519 + " " + base64.StdEncoding.EncodeToString(public) + "\n"
	l.write("allowed_signers", "test@example.com "+line)
	keys := trustKeys(t, l.write("hardware.pub", line))
	for _, flags := range []byte{1, 0} {
		raw := replaced(t, base, "\n\n", "\n"+folded(hardwareSignature(private, public, base, flags))+"\n")
		if !l.gitVerifies("commit", raw) {
			t.Error("git does not verify a signature by hardware, so that this test tells nothing")
		}
		if flags == 1 {
			wantVerified(t, keys, "commit", raw)
			wantUnverified(t, keys, "commit", replaced(t, raw, "base", "acid"), "does not match this content")
		} else {
			wantUnverified(t, keys, "commit", raw)
		}
	}
}

func hardwareSignature(private ed25519.PrivateKey, public, payload []byte, flags byte) []byte {
	application, data := sha256.Sum256([]byte("ssh:")), sha256.Sum256(sshSigned(payload))
	counted := append([]byte{flags}, 0, 0, 0, 9)
	raw := ed25519.Sign(private, append(append(application[:], counted...), data[:]...))
	return sshBlock(public, ssh.KeyAlgoSKED25519, raw, counted, "", nil)
}

// sshSigned is what ssh-keygen signs for git.
func sshSigned(payload []byte) []byte {
	message := sha256.Sum256(payload)
	return append([]byte("SSHSIG"), ssh.Marshal(struct{ Namespace, Reserved, Hash, Message string }{"git", "", "sha256", string(message[:])})...)
}

// sshBlock is an armored signature. What rest, reserved and tail hold is in it
// without being signed.
func sshBlock(public []byte, format string, raw, rest []byte, reserved string, tail []byte) []byte {
	signature := append(ssh.Marshal(struct{ Format, Blob string }{format, string(raw)}), rest...)
	blob := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Version                                   uint32
		Key, Namespace, Reserved, Hash, Signature string
	}{1, string(public), "git", reserved, "sha256", string(signature)})...)
	blob = append(blob, tail...)
	return []byte(beginSSH + "\n" + base64.StdEncoding.EncodeToString(blob) + "\n-----END SSH SIGNATURE-----\n")
}

func TestGitRefusesSSHSignaturesWithExtraData(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	base := l.commit(nil, "base")
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	keys := trustKeys(t, l.write("key.pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey()))))
	raw := ed25519.Sign(private, sshSigned(base))
	public := signer.PublicKey().Marshal()
	for what, block := range map[string][]byte{
		"nothing":         sshBlock(public, ssh.KeyAlgoED25519, raw, nil, "", nil),
		"in the reserve":  sshBlock(public, ssh.KeyAlgoED25519, raw, nil, "more", nil),
		"behind the key":  sshBlock(public, ssh.KeyAlgoED25519, raw, []byte("more"), "", nil),
		"behind the blob": sshBlock(public, ssh.KeyAlgoED25519, raw, nil, "", []byte("more")),
	} {
		object := replaced(t, base, "\n\n", "\n"+folded(block)+"\n")
		if what == "nothing" {
			wantVerified(t, keys, "commit", object)
		} else {
			wantUnverified(t, keys, "commit", object, "damaged signature")
		}
	}
}
