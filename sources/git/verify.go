package git

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"

	"github.com/tributary-gitops/tributary/sources/git/signature"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// verifier says which signatures a revision needs. The zero value needs none.
type verifier struct {
	keys *signature.Keys
	mode VerifyMode
}

func readVerifier(o Options) (verifier, error) {
	if len(o.VerifyKeyFiles) == 0 {
		return verifier{}, nil
	}
	keys, err := signature.ReadKeys(o.VerifyKeyFiles)
	if err != nil {
		return verifier{}, fmt.Errorf("--verify-git-keys: %w", err)
	}
	return verifier{keys, o.Verify}, nil
}

// subject contains everything that decides whether a commit can be a snapshot.
// The same subject always has the same outcome.
type subject struct {
	commit, tag plumbing.Hash
	ref         string
	keys        [sha256.Size]byte
}

func (v verifier) subject(at remoteRef) subject {
	s := subject{commit: at.commit}
	if v.keys != nil {
		s.keys = v.keys.Sum()
	}
	if v.needsTag() {
		s.tag, s.ref = at.tag, at.ref
	}
	return s
}

func (v verifier) needsCommit() bool { return v.keys != nil && v.mode != VerifyTag }
func (v verifier) needsTag() bool {
	return v.keys != nil && (v.mode == VerifyTag || v.mode == VerifyTagAndHead)
}

// commit returns a fault if a commit must be signed and is not. raw is the
// object's content.
func (v verifier) commit(raw []byte) error {
	if !v.needsCommit() {
		return nil
	}
	return signatureFault(v.keys.VerifyCommit(raw))
}

// verifyStored verifies the stored objects of a commit again, with other keys.
func (v verifier) verifyStored(at remoteRef, from objects) error {
	if v.needsTag() {
		raw := from[at.tag].data
		tag, err := decodeTag(at.tag, raw)
		if err != nil {
			return err
		}
		if err := v.tag(at.ref, tag, raw); err != nil {
			return err
		}
	}
	return v.commit(from[at.commit].data)
}

// signatureFault returns a verification error as a fault of the revision.
func signatureFault(refusal error) error {
	if refusal == nil {
		return nil
	}
	f := tree.NewFault("", "%s", refusal.Error())
	f.Transient = errors.Is(refusal, signature.ErrNotYet)
	return f
}

// tag returns a fault if an annotated tag must be signed and is not, or was
// signed under another name. Otherwise, anyone who may push refs could present
// an old version as a new one.
func (v verifier) tag(ref string, tag *gitobject.Tag, raw []byte) error {
	if !v.needsTag() {
		return nil
	}
	if err := signatureFault(v.keys.VerifyTag(raw)); err != nil {
		return err
	}
	if name := strings.TrimPrefix(ref, tagPrefix); tag.Name != name {
		return tree.NewFault("", "the tag %s was signed under another name, %s; create and sign a tag with the right name", message.Printable(name), message.Printable(tag.Name))
	}
	return nil
}

// requireTag returns a fault if a signed tag is required and the ref has no
// annotated tag.
func (v verifier) requireTag(at remoteRef) error {
	switch {
	case !v.needsTag() || !at.tag.IsZero():
		return nil
	case strings.HasPrefix(at.ref, tagPrefix):
		return tree.NewFault("", "the tag %s is not annotated and so cannot be signed; create it with git tag --sign", message.Printable(strings.TrimPrefix(at.ref, tagPrefix)))
	}
	return tree.NewFault("", "the revision was not found by a tag, but a tag's signature is required; name a tag with ?ref=, or verify only the commit")
}

// maxTagChain is the maximum number of tags that point to one another.
const maxTagChain = 16

// peel follows an annotated tag to its commit, which must be the commit that
// the server announced.
func (r *commitReader) peel(at remoteRef, v verifier) error {
	if err := v.requireTag(at); err != nil || at.tag.IsZero() {
		return err
	}
	hash := at.tag
	for range maxTagChain {
		tag, raw, err := r.tag(hash)
		if err != nil {
			return err
		}
		if hash == at.tag {
			if err := v.tag(at.ref, tag, raw); err != nil {
				return err
			}
		}
		hash = tag.Target
		switch tag.TargetType {
		case plumbing.TagObject:
		case plumbing.CommitObject:
			if hash != at.commit {
				return fmt.Errorf("%w: %s points to another commit than the server says", errPack, message.Printable(at.ref))
			}
			return nil
		default:
			return tree.NewFault("", "%s: points to a %s, where a commit is needed; tag a commit", message.Printable(at.ref), tag.TargetType)
		}
	}
	return tree.NewFault("", "%s: more than %d tags point to one another; tag the commit", message.Printable(at.ref), maxTagChain)
}

func (r *commitReader) tag(hash plumbing.Hash) (*gitobject.Tag, []byte, error) {
	raw, err := r.object(hash, plumbing.TagObject)
	if err != nil {
		return nil, nil, err
	}
	tag, err := decodeTag(hash, raw)
	return tag, raw, err
}

func decodeTag(hash plumbing.Hash, raw []byte) (*gitobject.Tag, error) {
	tag := &gitobject.Tag{}
	if err := tag.Decode(encodedObject(plumbing.TagObject, raw)); err != nil {
		return nil, tree.NewFault("", "tag %s: %v; create another", hash, err)
	}
	return tag, nil
}
