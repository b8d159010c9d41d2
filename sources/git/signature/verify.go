package signature

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrNotYet matches an error that may disappear by itself: the signature, or
// the validity of its key, begins in the future.
var ErrNotYet = errors.New("not yet")

// notYetError is an ErrNotYet with its own text.
type notYetError string

func (e notYetError) Error() string { return string(e) }

func (notYetError) Is(target error) bool { return target == ErrNotYet }

// VerifyCommit returns nil if one of the keys signed a commit, given as the
// object's content. Otherwise the error says, as a sentence about the commit,
// why it is refused. There are no other errors.
func (k *Keys) VerifyCommit(raw []byte) error {
	o, err := splitCommit(raw)
	if err != nil {
		return err
	}
	return k.verify("commit", o)
}

// VerifyTag returns nil if one of the keys signed an annotated tag, given as
// the object's content. It does not verify the commit that the tag points to,
// nor the ref that points to the tag: anyone who may push can move an old
// signed tag to a new name.
func (k *Keys) VerifyTag(raw []byte) error {
	o, err := splitTag(raw)
	if err != nil {
		return err
	}
	return k.verify("tag", o)
}

func (k *Keys) verify(noun string, o *signedObject) error {
	if err := k.check(o); err != nil {
		return fmt.Errorf("the %s %w", noun, err)
	}
	return nil
}

// check returns nil if an object is signed, or an error that completes the
// sentence "the commit …".
func (k *Keys) check(o *signedObject) error {
	begins := func(line string) bool { return bytes.HasPrefix(o.signature, []byte(line)) }
	switch {
	case len(o.signature) == 0:
		return fmt.Errorf("is not signed, and only what is signed is read; sign it with a trusted key (%s)", k.trusted())
	case len(o.signature) > maxSignatureBlock:
		return fmt.Errorf("has a signature larger than %d bytes; sign it again", maxSignatureBlock)
	case begins(beginOpenPGP):
		return k.checkOpenPGP(o)
	case begins(beginSSH):
		return k.checkSSH(o)
	case begins(beginX509):
		return fmt.Errorf("has an X.509 signature, but only OpenPGP and SSH signatures are supported; sign it with a trusted key (%s)", k.trusted())
	}
	return fmt.Errorf("has a signature of an unknown kind, but only OpenPGP and SSH signatures are supported; sign it with a trusted key (%s)", k.trusted())
}

// unknownSigner returns the error for a signature by an untrusted key.
func (k *Keys) unknownSigner(kind, signer string) error {
	text := fmt.Sprintf("claims to be signed by the %s key %s, which is not trusted (trusted: %s)", kind, signer, k.trusted())
	if len(k.unusable) > 0 {
		text += fmt.Sprintf("; of the keys in the key files %d cannot be used, one because: %s", len(k.unusable), k.unusable[0])
	}
	return fmt.Errorf("%s; sign it with a trusted key, or add the public key to the key files", text)
}

func damagedSignature(err error) error {
	return fmt.Errorf("has a damaged signature: %s; sign it again", quoteForeign(err.Error()))
}
