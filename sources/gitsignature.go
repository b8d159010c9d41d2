package sources

import (
	"bytes"
	"fmt"
)

// verifyCommit tells whether one of the keys signed a commit, given as the
// object's content. A commit that it refuses is a fault.
func (k *gitKeys) verifyCommit(raw []byte) error {
	o, err := splitCommit(raw)
	if err != nil {
		return err
	}
	return k.verify("commit", o)
}

// verifyTag tells whether one of the keys signed an annotated tag. It says
// nothing of the commit that the tag leads to, nor of the ref that leads to the
// tag: whoever may push can move an old signed tag to a new name.
func (k *gitKeys) verifyTag(raw []byte) error {
	o, err := splitTag(raw)
	if err != nil {
		return err
	}
	return k.verify("tag", o)
}

func (k *gitKeys) verify(noun string, o *signedObject) error {
	err := k.check(o)
	if err != nil {
		return &fault{"", fmt.Sprintf("the %s %v", noun, err)}
	}
	return nil
}

// check says of an object that it is signed, or what is wrong with it, as the
// second half of a sentence.
func (k *gitKeys) check(o *signedObject) error {
	begins := func(line string) bool { return bytes.HasPrefix(o.signature, []byte(line)) }
	switch {
	case len(o.signature) == 0:
		return fmt.Errorf("is not signed, and only what is signed is read; sign it with a key that is trusted (%s)", k.trusted())
	case len(o.signature) > maxSignatureBlock:
		return fmt.Errorf("has a signature larger than %d bytes; sign it anew", maxSignatureBlock)
	case begins(beginOpenPGP):
		return k.checkOpenPGP(o)
	case begins(beginSSH):
		return k.checkSSH(o)
	case begins(beginX509):
		return fmt.Errorf("has an X.509 signature, and OpenPGP and SSH signatures are understood; sign it with a key that is trusted (%s)", k.trusted())
	}
	return fmt.Errorf("has a signature of an unknown kind, and OpenPGP and SSH signatures are understood; sign it with a key that is trusted (%s)", k.trusted())
}

// unknownSigner is for a signature by a key that is not trusted.
func (k *gitKeys) unknownSigner(kind, signer string) error {
	text := fmt.Sprintf("claims to be signed by the %s key %s, which is not trusted (%s are)", kind, signer, k.trusted())
	if len(k.unusable) > 0 {
		text += fmt.Sprintf("; of the keys in the key files %d cannot be used, one because: %s", len(k.unusable), k.unusable[0])
	}
	return fmt.Errorf("%s; sign it with a key that is, or add the public key to the key files", text)
}

func damaged(err error) error {
	return fmt.Errorf("has a damaged signature: %s; sign it anew", clean(err.Error()))
}
