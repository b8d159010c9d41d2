package gitsign

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

// clockSkew is how far in the future a signature may have been made, because it
// is fetched within a second from a host whose clock nobody compared with ours.
const clockSkew = 5 * time.Minute

// minRSABits is what is left of RSA keys that can be trusted.
const minRSABits = 2048

// strongHashes are those of which no two texts with the same hash are known.
var strongHashes = []crypto.Hash{crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512}

// readOpenPGP reads all keys of a keyring. unusable says of keys why they are
// left out: a team's keyring may hold some that are old or odd, and theirs are the
// only signatures that are refused for it.
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

// errRevocation is for a certificate that gpg --gen-revoke made. By itself it
// revokes nothing here, and to pass over it would leave the key trusted.
var errRevocation = errors.New("contains a revocation certificate without its key: import it with gpg --import, and export the key again")

func revokes(s *packet.Signature) bool {
	return s.SigType == packet.SigTypeKeyRevocation || s.SigType == packet.SigTypeSubkeyRevocation
}

// skipOpenPGP goes on to the next key.
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

// oneSignature is the one signature that data holds. Git refuses several, because
// it could not say which of them it speaks of.
func parseSingleSignature(data []byte) (*packet.Signature, error) {
	rest := bytes.NewReader(data)
	p, err := packet.Read(rest)
	if err != nil {
		return nil, err
	}
	sig, ok := p.(*packet.Signature)
	switch {
	case !ok:
		return nil, errors.New("it holds no OpenPGP signature")
	case rest.Len() > 0:
		return nil, errors.New("it holds more than one OpenPGP signature")
	case sig.IssuerKeyId == nil:
		return nil, errors.New("it does not say which OpenPGP key made it")
	case sig.SigType != packet.SigTypeBinary:
		// A text's line ends may be changed without making its signature wrong.
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

// revoked tells whether a key is revoked in any of the files: of two exports of
// one key, the one from before must not outdo the one from after. Nor does a later
// signature of the key's owner bring a key back, because who stole it could make
// one.
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
