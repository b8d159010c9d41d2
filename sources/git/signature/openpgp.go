package signature

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// clockSkew is how far in the future a signature's time may be. A commit may be
// fetched within a second, and clocks differ.
const clockSkew = 5 * time.Minute

// minRSABits is the minimum size of an RSA key.
const minRSABits = 2048

// strongHashes are the hash algorithms without known collisions.
var strongHashes = []crypto.Hash{crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512}

// readOpenPGP reads all keys of a keyring. unusable says why keys were left
// out: a team's keyring may contain old or unusual keys, and only signatures
// with those are refused.
func readOpenPGP(r io.Reader) (keys []*openpgp.Entity, unusable []string, err error) {
	packets := packet.NewReader(r)
	for {
		if first, err := packets.Next(); err == nil {
			if sig, ok := first.(*packet.Signature); ok && revokes(sig) {
				return nil, nil, errRevocation
			}
			packets.Unread(first)
		}
		e, err := openpgp.ReadEntity(packets)
		switch {
		case errors.Is(err, io.EOF):
			return keys, unusable, nil
		case err != nil:
			unusable = append(unusable, quoteForeign(err.Error()))
			if err := skipOpenPGP(packets); err != nil {
				return nil, nil, err
			}
		case e.PrivateKey != nil:
			return nil, nil, errPrivateKey
		default:
			if self, _ := e.PrimarySelfSignature(); self == nil {
				unusable = append(unusable, e.PrimaryKey.KeyIdString()+" has no self-signature")
				continue
			}
			keys = append(keys, e)
		}
	}
}

// errRevocation is the error for a certificate from gpg --gen-revoke. Without
// its key it revokes nothing here, and skipping it would leave the key trusted.
var errRevocation = errors.New("contains a revocation certificate without its key: import it with gpg --import, and export the key again")

func revokes(s *packet.Signature) bool {
	return s.SigType == packet.SigTypeKeyRevocation || s.SigType == packet.SigTypeSubkeyRevocation
}

// skipOpenPGP skips to the next key.
func skipOpenPGP(packets *packet.Reader) error {
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if key, ok := p.(*packet.PublicKey); ok && !key.IsSubkey {
			packets.Unread(p)
			return nil
		}
	}
}

func (k *Keys) checkOpenPGP(o *signedObject) error {
	data, err := dearmor(o.signature, beginOpenPGP)
	if err != nil {
		return damagedSignature(err)
	}
	sig, err := parseSingleSignature(data)
	if err != nil {
		return damagedSignature(err)
	}
	signer := fmt.Sprintf("%016X", *sig.IssuerKeyId)
	candidates := k.openpgp.KeysById(*sig.IssuerKeyId)
	if len(candidates) == 0 {
		return k.unknownSigner("OpenPGP", signer)
	}
	for _, key := range candidates {
		if err = k.checkOpenPGPKey(o.payload, data, sig, key); err == nil {
			return nil
		}
	}
	return fmt.Errorf("claims to be signed by the OpenPGP key %s, and %w", signer, err)
}

// parseSingleSignature returns the only signature in data. Git refuses several,
// because it could not say which of them it verified.
func parseSingleSignature(data []byte) (*packet.Signature, error) {
	rest := bytes.NewReader(data)
	p, err := packet.Read(rest)
	if err != nil {
		return nil, err
	}
	sig, ok := p.(*packet.Signature)
	switch {
	case !ok:
		return nil, errors.New("it contains no OpenPGP signature")
	case rest.Len() > 0:
		return nil, errors.New("it contains more than one OpenPGP signature")
	case sig.IssuerKeyId == nil:
		return nil, errors.New("it does not say which OpenPGP key made it")
	case sig.SigType != packet.SigTypeBinary:
		// The line ends of text may be changed without invalidating its
		// signature.
		return nil, errors.New("it is an OpenPGP signature of text, not of bytes")
	}
	return sig, nil
}

func (k *Keys) checkOpenPGPKey(payload, data []byte, sig *packet.Signature, key openpgp.Key) error {
	if err := checkStrength(sig, key.PublicKey); err != nil {
		return err
	}
	now := k.now()
	if early := sig.CreationTime.Sub(now); early > clockSkew {
		return notYetError(fmt.Sprintf("that was at %s, which is in the future; check the clocks of the signer and of this machine", rfc3339(sig.CreationTime)))
	} else if early > 0 {
		now = sig.CreationTime
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	_, _, err := openpgp.VerifyDetachedSignature(openpgp.EntityList{key.Entity}, bytes.NewReader(payload), bytes.NewReader(data), config)
	switch {
	case errors.Is(err, pgperrors.ErrKeyRevoked), err == nil && k.revoked(key):
		return errors.New("the key is revoked; sign it with another")
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return errors.New("the key has expired; give it a longer life and add it to the key file again, or sign with another")
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return errors.New("the signature has expired; sign it again")
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return errors.New("the key is not a signing key; sign it with another")
	case err != nil:
		return errors.New("the signature does not match this content: it was made for other content, or the content was changed; sign it again")
	case sig.CreationTime.Before(key.PublicKey.CreationTime):
		return errors.New("the signature is older than the key; set the clock of the signer and sign it again")
	}
	return nil
}

// revoked reports whether a key is revoked in any of the files. An older export
// of a key does not override a newer one that revokes it. A later signature of
// the owner does not restore a key either, because a thief of the key could
// make one.
func (k *Keys) revoked(key openpgp.Key) bool {
	for _, e := range k.openpgp {
		if !bytes.Equal(e.PrimaryKey.Fingerprint, key.Entity.PrimaryKey.Fingerprint) {
			continue
		}
		if len(e.Revocations) > 0 {
			return true
		}
		for _, sub := range e.Subkeys {
			if len(sub.Revocations) > 0 && bytes.Equal(sub.PublicKey.Fingerprint, key.PublicKey.Fingerprint) {
				return true
			}
		}
	}
	return false
}

func checkStrength(sig *packet.Signature, key *packet.PublicKey) error {
	if !slices.Contains(strongHashes, sig.Hash) {
		return fmt.Errorf("with the hash %s, which is broken; sign it again with SHA-256 or SHA-512", sig.Hash)
	}
	switch key.PubKeyAlgo {
	case packet.PubKeyAlgoDSA:
		return errors.New("the key is a DSA key, which is no longer secure; sign it with an Ed25519 or RSA key")
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := key.BitLength(); err != nil || bits < minRSABits {
			return fmt.Errorf("the key is an RSA key of %d bits; sign it with one of %d or more, or an Ed25519 key", bits, minRSABits)
		}
	}
	return nil
}
