package sources

import (
	"context"
	"fmt"
	"strings"

	"oras.land/oras-go/v2/registry"

	"github.com/tributary-gitops/tributary/fleet"
)

var (
	_ fleet.Referrer = (*repository)(nil)
	_ fleet.Referrer = (*registryArtifact)(nil)
)

// At is a Fetch of another branch, tag or commit, or of the highest tag in a range,
// with all else as it is. It may run beside a Fetch and others of its kind: it has
// what was read last to begin with, and what it reads is nobody's but the caller's.
func (r *repository) At(ctx context.Context, ref string) (*fleet.Snapshot, error) {
	want, err := otherGitRef(ref)
	if err != nil {
		return nil, err
	}
	other := &repository{at: r.at, options: r.options, dialer: r.dialer, fetching: newFetchMutex()}
	other.at.ref = want
	other.last.Store(r.last.Load())
	return other.Fetch(ctx, "")
}

// At is a Fetch of another tag or digest, or of the highest tag in a range, with all
// else as it is. It may run beside a Fetch and others of its kind, as that of Git.
func (r *registryArtifact) At(ctx context.Context, ref string) (*fleet.Snapshot, error) {
	want, err := r.at.artifact.other(ref)
	if err != nil {
		return nil, err
	}
	other := &registryArtifact{at: r.at, limits: r.limits, keys: r.keys, client: r.client, fetching: newFetchMutex()}
	other.at.artifact = &want
	other.last.Store(r.last.Load())
	return other.Fetch(ctx, "")
}

// otherGitRef reads a ref that comes from whoever asks, and not from the SOURCE. It
// is looked up among those that the server lists, and never passed on to anyone.
func otherGitRef(ref string) (gitRef, error) {
	want, err := parseGitRef(map[string]string{"ref": ref})
	if err != nil || len(ref) > maxRefLength {
		return gitRef{}, invalidRef(ref, "a branch, a tag, a commit by its 40 digits, or a range such as semver:>=1.0.0")
	}
	return want, nil
}

// other is the same artifact at another ref, which comes from whoever asks.
func (a artifact) other(ref string) (artifact, error) {
	a.tag, a.digest, a.semver = "", "", ""
	versions, ranged := strings.CutPrefix(ref, semverPrefix)
	switch {
	case ranged && checkRange("ref", versions) == nil:
		a.semver = versions
	case sha256Digest.MatchString(ref):
		a.digest = ref
	case (registry.Reference{Reference: ref}).ValidateReferenceAsTag() == nil:
		a.tag = ref
	default:
		return artifact{}, invalidRef(ref, "a tag, a digest as sha256: and 64 digits, or a range such as semver:>=1.0.0")
	}
	return a, nil
}

// maxRefLength is the most bytes of a ref that is asked for, as it comes to stand in
// answers and logs. Hosts of Git allow no longer names.
const maxRefLength = 256

func invalidRef(ref, names string) error {
	if len(ref) > maxRefLength {
		return fmt.Errorf("ref: %w: it is longer than %d bytes", fleet.ErrInvalid, maxRefLength)
	}
	return fmt.Errorf("ref %q: %w: name %s", ref, fleet.ErrInvalid, names)
}
