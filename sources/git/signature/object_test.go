package signature

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// signedSamples are objects of all shapes that git signs, and the keys for them.
func signedSamples(l *signingLab) (*Keys, map[string][]byte) {
	pgp, public := l.openPGPKey("anna", "ed25519", "never"), l.sshKey("anna", "ed25519")
	rsa := l.openPGPKey("rsa", "rsa2048", "never")
	samples := map[string][]byte{"commit openpgp": l.commit(byOpenPGP(pgp), "signed")}
	l.git("checkout", "--quiet", "--detach")
	l.commit(nil, "side")
	samples["tag openpgp"] = l.tag(byOpenPGP(pgp), "side", "a version")
	l.git("checkout", "--quiet", "main")
	l.commit(nil, "main goes on")
	l.git(append(bySSH(public), "merge", "--quiet", "--no-edit", "--gpg-sign", "--strategy=ours", "side")...)
	samples["commit ssh mergetag"] = l.object("HEAD")
	samples["tag ssh"] = l.tag(bySSH(public), "v2", "a version")
	samples["commit rsa"] = l.commit(byOpenPGP(rsa), "signed")
	return trustKeys(l.t, l.export(pgp, rsa), public), samples
}

func kindOf(sample string) string { kind, _, _ := strings.Cut(sample, " "); return kind }

func TestGitSignatureCoversEveryByte(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	keys, samples := signedSamples(l)
	for name, raw := range samples {
		t.Run(name, func(t *testing.T) {
			wantVerified(t, keys, kindOf(name), raw)
			if !l.gitVerifies(kindOf(name), raw) {
				t.Error("git does not verify what it signed")
			}
			changed := bytes.Clone(raw)
			for i, was := range raw {
				for _, flip := range []byte{0x01, 0x20} {
					changed[i] = was ^ flip
					if verifyAs(keys, kindOf(name), changed) == nil {
						t.Errorf("verified with byte %d changed from %q to %q", i, was, changed[i])
					}
				}
				changed[i] = was
				if i > 0 && verifyAs(keys, kindOf(name), raw[:i]) == nil && i < len(raw)-1 {
					t.Errorf("verified when cut off at byte %d of %d", i, len(raw))
				}
			}
		})
	}
}

// TestGitVerifiesWhatWeVerify changes objects by whole lines, as who wants to
// smuggle something in would. Git must not be stricter anywhere, and what was
// signed must be what is in the object.
func TestGitVerifiesWhatWeVerify(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	keys, samples := signedSamples(l)
	for name, raw := range samples {
		t.Run(name, func(t *testing.T) {
			kind := kindOf(name)
			payload := payloadOf(t, kind, raw)
			verified := 0
			for what, changed := range rearranged(raw) {
				if bytes.Equal(changed, raw) || verifyAs(keys, kind, changed) != nil {
					continue
				}
				verified++
				if !bytes.Equal(payloadOf(t, kind, changed), payload) {
					t.Errorf("%s: verified, and what is signed is something else", what)
				}
				// RFC 9580 wants armor without a checksum to be read, which gpg does
				// or does not, by how long the data is.
				unsummed := checksum.Match(raw) && !checksum.Match(changed)
				if !unsummed && !l.gitVerifies(kind, changed) {
					t.Errorf("%s: verified, but not by git\n%q", what, changed)
				}
			}
			t.Logf("%d changes make no difference", verified)
		})
	}
}

var checksum = regexp.MustCompile(`\n ?=[A-Za-z0-9+/]{4}\s`)

func payloadOf(t *testing.T, kind string, raw []byte) []byte {
	t.Helper()
	split := splitCommit
	if kind == "tag" {
		split = splitTag
	}
	o, err := split(raw)
	if err != nil {
		t.Fatal(err)
	}
	return o.payload
}

// rearranged are objects with a line left out, put in, doubled or changed.
func rearranged(raw []byte) map[string][]byte {
	all := map[string][]byte{}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	put := func(what string, i, skip int, with ...string) {
		changed := bytes.Join(lines[:i], nil)
		changed = append(changed, strings.Join(with, "")...)
		all[fmt.Sprintf("%s at line %d", what, i)] = append(changed, bytes.Join(lines[i+skip:], nil)...)
	}
	for i, text := range lines {
		line := string(text)
		bare := strings.TrimSuffix(line, "\n")
		put("left out", i, 1)
		put("doubled", i, 1, line, line)
		for _, extra := range []string{
			"gpgsig x\n", "gpgsig\n", "gpgsig-sha256 x\n", "gpgsig-sha256 x\n tree y\n", "gpgsig-note x\n", "gpgsigx\n",
			"tree " + strings.Repeat("0", 40) + "\n", "parent " + strings.Repeat("0", 40) + "\n", "x\n", " x\n", " \n", "\n", "note x\n",
			"-----BEGIN PGP SIGNATURE-----\n", "-----BEGIN SSH SIGNATURE-----\n", " -----END PGP SIGNATURE-----\n", "Version: 1\n", " Comment: x\n",
		} {
			put(fmt.Sprintf("%q", extra), i, 0, extra)
		}
		for _, tail := range []string{"\r\n", " \n", "\t\n", "", "x\n", "=\n"} {
			put(fmt.Sprintf("end %q", tail), i, 1, bare, tail)
		}
		if i+1 < len(lines) {
			put("swapped", i, 2, string(lines[i+1]), line)
		}
	}
	return all
}

// TestGitVerifiesSignaturesThatWeVerify changes the packets in the armor, with a
// checksum that is right again.
func TestGitVerifiesSignaturesThatWeVerify(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	keys, samples := signedSamples(l)
	for name, raw := range samples {
		kind, begin := kindOf(name), beginOpenPGP
		if strings.Contains(name, "ssh") {
			begin = beginSSH
		}
		t.Run(name, func(t *testing.T) {
			block := signatureOf(t, kind, raw)
			data, err := dearmor(block, begin)
			if err != nil {
				t.Fatal(err)
			}
			for i := range data {
				for _, flip := range []byte{0x01, 0x80} {
					changed := bytes.Clone(data)
					changed[i] ^= flip
					object := rearmored(kind, raw, block, begin, changed)
					if verifyAs(keys, kind, object) == nil && !l.gitVerifies(kind, object) {
						t.Errorf("verified with byte %d of the signature changed, but not by git", i)
					}
				}
			}
			for _, more := range [][]byte{{0}, data, {0xd1, 0}, {0xca, 3, 'P', 'G', 'P'}} {
				if verifyAs(keys, kind, rearmored(kind, raw, block, begin, append(bytes.Clone(data), more...))) == nil {
					t.Errorf("verified with %x behind the signature", more)
				}
			}
			wantVerified(t, keys, kind, rearmored(kind, raw, block, begin, data))
		})
	}
}

// rearmored is an object with other data in its signature block.
func rearmored(kind string, raw, block []byte, begin string, data []byte) []byte {
	text := begin + "\n"
	if begin == beginOpenPGP {
		text += "\n"
	}
	encoded := base64.StdEncoding.EncodeToString(data)
	for len(encoded) > 64 {
		text, encoded = text+encoded[:64]+"\n", encoded[64:]
	}
	text += encoded + "\n"
	if begin == beginOpenPGP {
		sum := crc24(data)
		text += "=" + base64.StdEncoding.EncodeToString([]byte{byte(sum >> 16), byte(sum >> 8), byte(sum)}) + "\n"
	}
	text += strings.Replace(begin, "BEGIN", "END", 1) + "\n"
	if kind == "tag" {
		return bytes.Replace(raw, block, []byte(text), 1)
	}
	return bytes.Replace(raw, []byte(folded(block)), []byte(folded([]byte(text))), 1)
}

// TestGitSignatureHeaderOfOtherHash lets pass what git writes where a repository
// has names by SHA-1 and SHA-256 for its objects, and nothing that looks like it.
func TestGitSignatureHeaderOfOtherHash(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	key := l.openPGPKey("anna", "ed25519", "never")
	keys := trustKeys(t, l.export(key))
	raw := l.commit(byOpenPGP(key), "signed")
	both := replaced(t, raw, "\n\n", "\ngpgsig-sha256 -----BEGIN PGP SIGNATURE-----\n \n x\n\n")
	wantVerified(t, keys, "commit", both)
	if !l.gitVerifies("commit", both) {
		t.Error("git does not verify a commit with a signature for SHA-256")
	}
	wantUnverified(t, keys, "commit", replaced(t, both, "\n\n", "\ngpgsig-sha256 x\n\n"), "more than one signature")
	wantUnverified(t, keys, "commit", replaced(t, raw, "\n\n", "\n"+folded(signatureOf(t, "commit", raw))+"\n"), "more than one signature")
	// Git verifies this one, though nobody signed the header.
	smuggled := replaced(t, raw, "\n\n", "\ngpgsig-note whatever\n you like\n\n")
	if !l.gitVerifies("commit", smuggled) {
		t.Log("this git does not drop the header")
	}
	wantUnverified(t, keys, "commit", smuggled, "gpgsig-note", "no signature covers")
	wantUnverified(t, keys, "commit", replaced(t, raw, "\n\n", "\ngpgsig-sha256\n like this\n\n"), "no signature covers")
}

// TestGitSignatureOfMalformedCommit refuses what programs read differently, even
// if somebody who is trusted signed it.
func TestGitSignatureOfMalformedCommit(t *testing.T) {
	t.Parallel()
	l := newSigningLab(t)
	key := l.openPGPKey("anna", "ed25519", "never")
	keys := trustKeys(t, l.export(key))
	base := l.commit(nil, "base")
	wantVerified(t, keys, "commit", signedByHand(l, key, base))
	tree := "tree " + l.git("rev-parse", "HEAD^{tree}") + "\n"
	author, _, _ := strings.Cut(string(base[bytes.Index(base, []byte("author")):]), "\n")
	for name, change := range map[string][2]string{
		"two trees":           {"\n\n", "\n" + tree + "\n"},
		"a parent at the end": {"\n\n", "\nparent " + strings.Repeat("0", 40) + "\n\n"},
		"two authors":         {author, author + "\n" + author},
		"a note for author":   {author, "note x"},
		"no author":           {author + "\n", ""},
		"a note in between":   {author, "note x\n" + author},
		"no tree":             {tree, ""},
		"half a tree":         {tree, tree[:30] + "\n"},
		"tree in capitals":    {tree, "tree " + strings.ToUpper(tree[5:])},
		"committer nobody":    {"committer Test <test@example.com>", "committer Test"},
		"committer never":     {"\n\n", "\n\n"},
		"a zero":              {author, author[:8] + "\x00" + author[8:]},
	} {
		payload := replaced(t, base, change[0], change[1])
		if name == "committer never" {
			payload = regexp.MustCompile(`(committer .*>) [0-9]+`).ReplaceAll(base, []byte("$1 soon"))
		}
		raw := signedByHand(l, key, payload)
		if verifyAs(keys, "commit", raw) == nil {
			t.Errorf("%s: verified\n%q", name, raw)
		}
	}
	for what, change := range map[string][2]string{
		"half an object": {"object " + l.git("rev-parse", "HEAD"), "object 0123"},
		"no type":        {"type commit\n", ""},
		"another header": {"\n\n", "\nnote x\n\n"},
		"no tagger":      {"tagger Test", "tigger Test"},
	} {
		payload := replaced(t, l.tag(nil, strings.ReplaceAll(what, " ", "-"), "by hand"), change[0], change[1])
		raw := append(payload, l.run(payload, "gpg", "--batch", "--quiet", "-bsau", key)...)
		if verifyAs(keys, "tag", raw) == nil {
			t.Errorf("%s: verified\n%q", what, raw)
		}
	}
	// The signature stands where git, reading by place, would miss the author.
	raw := signedByHand(l, key, base)
	moved := strings.Replace(string(raw), folded(signatureOf(t, "commit", raw)), "", 1)
	moved = strings.Replace(moved, "author", folded(signatureOf(t, "commit", raw))+"author", 1)
	wantUnverified(t, keys, "commit", []byte(moved), "does not begin with")
}

func TestGitSignatureIsBounded(t *testing.T) {
	t.Parallel()
	keys := &Keys{}
	const head = "tree 0123456789012345678901234567890123456789\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n"
	large := strings.Repeat("x", maxSignatureBlock)
	wantUnverified(t, keys, "commit", []byte(head+"gpgsig "+beginSSH+large+"\n\nm\n"), "larger than 65536 bytes")
	wantUnverified(t, keys, "commit", []byte(head+"\n"+strings.Repeat("x", maxSignedObject)), "larger than 16 MiB")
	wantUnverified(t, keys, "tag", bytes.Repeat([]byte("x"), maxSignedObject+1), "larger than 16 MiB")
	wantUnverified(t, keys, "commit", []byte(head+strings.Repeat("x\n", maxObjectHeaders+1)+"\nm\n"), "git would not write")
	for _, raw := range []string{"", "\n", " x\n", "x", head, strings.Replace(head, "A", "A\x00", 1) + "\n", head + "gpgsig", head + "gpgsig ", strings.Replace(head, "committer A <a@b> 1", "committer A <a@b>", 1) + "\n"} {
		wantUnverified(t, keys, "commit", []byte(raw))
		wantUnverified(t, keys, "tag", []byte(raw))
	}
}

// FuzzGitSignedObject holds the splitting to its promise: what is signed and the
// signature make up the object, together with nothing but the one header that
// may stand beside.
func FuzzGitSignedObject(f *testing.F) {
	const who = "A <a@b> 1 +0000\n"
	const hash = "0123456789012345678901234567890123456789\n"
	commit := "tree " + hash + "parent " + hash + "author " + who + "committer " + who
	for _, seed := range []string{
		commit + "\nm\n",
		commit + "gpgsig " + beginSSH + "\n x\n -----END SSH SIGNATURE-----\n \n\nm\n",
		commit + "mergetag object x\n gpgsig y\nencoding x\ngpgsig x\n y\ngpgsig-sha256 z\n\nm\n",
		commit + "gpgsig-sha256 z\n y\nnote x\ngpgsig x",
		"object " + hash + "type commit\ntag v1\ntagger " + who + "\nm\n" + beginOpenPGP + "\n\nx\n",
		"object " + hash + "type commit\ntag v1\ntagger " + who + "\nm\n" + beginOpenPGP + "\n\n" + beginX509 + "x",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		was := bytes.Clone(raw)
		if o, err := splitTag(raw); err == nil && string(o.payload)+string(o.signature) != string(raw) {
			t.Errorf("tag %q is split into %q and %q", raw, o.payload, o.signature)
		}
		if o, err := splitCommit(raw); err == nil {
			if whole := joined(raw, o); whole != string(raw) {
				t.Errorf("commit %q is split into %q and %q, which make %q", raw, o.payload, o.signature, whole)
			}
		}
		if !bytes.Equal(raw, was) {
			t.Errorf("the object %q is changed to %q", was, raw)
		}
		for _, kind := range []string{"commit", "tag"} {
			if verifyAs(&Keys{}, kind, raw) == nil {
				t.Errorf("%q is verified without keys", raw)
			}
		}
	})
}

// joined puts a commit together again, line by line: each is the next one of the
// payload, of the signature, or of a header gpgsig-sha256.
func joined(raw []byte, o *signedObject) string {
	var whole strings.Builder
	payload, signature := string(o.payload), string(o.signature)
	take := func(from *string, prefix, line string) bool {
		rest, ok := strings.CutPrefix(line, prefix)
		after, had := strings.CutPrefix(*from, rest)
		if ok && had {
			*from = after
			whole.WriteString(line)
		}
		return ok && had
	}
	inside := ""
	for line := range strings.Lines(string(raw)) {
		switch {
		case inside == "body":
			take(&payload, "", line)
			continue
		case line == "\n":
			inside = "body"
		case !strings.HasPrefix(line, " "):
			inside, _, _ = strings.Cut(line, " ")
		}
		switch {
		case inside == "gpgsig-sha256":
			whole.WriteString(line)
		case inside == "gpgsig" && strings.HasPrefix(line, "gpgsig"):
			take(&signature, "gpgsig ", line)
		case inside == "gpgsig":
			take(&signature, " ", line)
		default:
			take(&payload, "", line)
		}
	}
	return whole.String() + payload + signature
}

// fuzzKey signed the text "fuzz\n", in fuzzSignature. Its private half is gone.
const (
	fuzzKey = `-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEXgvhABYJKwYBBAHaRw8BAQdAHz6foqS5JeTnrCW/RkVLKE1pVia9747ShpRu
DAcEVnm0EGZ1enpAZXhhbXBsZS5jb22IkAQTFggAOBYhBAoUE3NUyJFCl0Y5z4Ff
w8kCrR2aBQJeC+EAAhsDBQsJCAcCBhUKCQgLAgQWAgMBAh4BAheAAAoJEIFfw8kC
rR2aSi4BALjGoTvG1I2aVyFrenH3nbgmo+eUZAf5La+gOwItAs8qAP9gEQb/Y2yn
jDIdXCH4xgixJpQl4gk3P/D8Mi2EaPUdDA==
=Km1t
-----END PGP PUBLIC KEY BLOCK-----
`
	fuzzSignature = `-----BEGIN PGP SIGNATURE-----

iHUEABYIAB0WIQQKFBNzVMiRQpdGOc+BX8PJAq0dmgUCXgvhAAAKCRCBX8PJAq0d
mlIMAP469yes3qnf411Yv3fQ3mvaAB1bLt6fvF/gY2tfeKNT1wD/XtY0GxGwZ5to
zSNiPpVfVhU4LryuwqCD2z/UXUIvjQY=
=IIcA
-----END PGP SIGNATURE-----
`
)

// FuzzGitSignatureBlock feeds blocks to what decodes them. None is verified
// unless it is of the very text.
func FuzzGitSignatureBlock(f *testing.F) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		f.Fatal(err)
	}
	const text = "fuzz\n"
	sig, err := sshsig.Sign(strings.NewReader(text), signer, sshsig.HashSHA512, sshNamespace)
	if err != nil {
		f.Fatal(err)
	}
	pgp, err := dearmor([]byte(fuzzSignature), beginOpenPGP)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(false, pgp)
	f.Add(true, sig.Marshal())
	dir := f.TempDir()
	files := []string{filepath.Join(dir, "pgp"), filepath.Join(dir, "ssh")}
	for i, content := range [][]byte{[]byte(fuzzKey), ssh.MarshalAuthorizedKey(signer.PublicKey())} {
		if err := os.WriteFile(files[i], content, 0o600); err != nil {
			f.Fatal(err)
		}
	}
	keys := trustKeys(f, files...)
	for _, block := range []string{fuzzSignature, string(sshsig.Armor(sig))} {
		if err := keys.check(&signedObject{payload: []byte(text), signature: []byte(block)}); err != nil {
			f.Fatalf("the first block is not verified: %v", err)
		}
	}
	f.Fuzz(func(t *testing.T, ssh bool, data []byte) {
		begin := beginOpenPGP
		if ssh {
			begin = beginSSH
		}
		block := rearmored("tag", []byte("x"), []byte("x"), begin, data)
		if keys.check(&signedObject{payload: []byte("fuZz\n"), signature: block}) == nil {
			t.Errorf("%x is verified as a signature of what nobody signed", data)
		}
	})
}
