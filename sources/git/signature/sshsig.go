package signature

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// sshNamespace is the namespace of Git's signatures. It prevents a signature of
// something else from being used for a commit.
const sshNamespace = "git"

func (k *Keys) checkSSH(o *signedObject) error {
	data, err := dearmor(o.signature, beginSSH)
	if err != nil {
		return damagedSignature(err)
	}
	sig, err := sshsig.ParseSignature(data)
	if err != nil {
		return damagedSignature(err)
	}
	hardware := strings.HasPrefix(sig.PublicKey.Type(), "sk-")
	switch {
	case !bytes.Equal(sig.Marshal(), data), len(sig.Signature.Rest) > 0 && !hardware:
		return damagedSignature(errors.New("it contains more than an SSH signature"))
	case sig.Namespace != sshNamespace:
		return fmt.Errorf("has an SSH signature for the namespace %s, not git; sign it again", quoteForeign(sig.Namespace))
	}
	signer := ssh.FingerprintSHA256(sig.PublicKey)
	err = k.unknownSigner(sig.PublicKey.Type(), signer)
	for _, key := range k.ssh {
		if !bytes.Equal(key.Marshal(), sig.PublicKey.Marshal()) {
			continue
		}
		if err = k.checkSSHKey(o, sig, key); err == nil {
			return nil
		}
		err = fmt.Errorf("claims to be signed by the SSH key %s, and %w", signer, err)
	}
	return err
}

func (k *Keys) checkSSHKey(o *signedObject, sig *sshsig.Signature, key sshKey) error {
	if err := sshsig.Verify(bytes.NewReader(o.payload), sig, key, sig.HashAlgorithm, sshNamespace); err != nil {
		return errors.New("the signature does not match this content: it was made for other content, or the content was changed; sign it again")
	}
	// Git checks the validity at the time that the signer claims. Someone who
	// finds an old key can claim any time, so the current time is checked too.
	if err := key.validAt(o.createdAt); err != nil {
		return err
	}
	now := k.now()
	err := key.validAt(now)
	if err != nil && now.Before(key.after) {
		return notYetError(err.Error())
	}
	return err
}

// validAt checks a time against the limits in allowed_signers, both of which
// are inclusive.
func (key sshKey) validAt(at time.Time) error {
	switch {
	case !key.after.IsZero() && at.Before(key.after):
		return fmt.Errorf("the key is valid from %s on, not at %s; sign it with another", rfc3339(key.after), rfc3339(at))
	case !key.before.IsZero() && at.After(key.before):
		return fmt.Errorf("the key has expired: it was valid until %s, not at %s; sign it with another", rfc3339(key.before), rfc3339(at))
	}
	return nil
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
