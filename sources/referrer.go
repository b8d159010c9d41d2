package sources

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/semaphore"
	"oras.land/oras-go/v2/registry"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/version"
)

var (
	_ fleet.Referrer = (*repository)(nil)
	_ fleet.Referrer = (*registryArtifact)(nil)
)

// At fetches another branch, tag or commit, or the highest tag in a range, with
// the same options. It may run concurrently with Fetch and other calls of At.
// It starts from the commit that was read last, and does not change it.
func (r *repository) At(ctx context.Context, ref string) (*fleet.Snapshot, error) {
	want, err := otherGitRef(ref)
	if err != nil {
		return nil, err
	}
	other := &repository{at: r.at, options: r.options, dialer: r.dialer, fetching: semaphore.NewWeighted(1)}
	other.at.ref = want
	other.last.Store(r.last.Load())
	return other.Fetch(ctx, "")
}

// At fetches another tag or digest, or the highest tag in a range, with the
// same options. It may run concurrently with Fetch and other calls of At.
func (r *registryArtifact) At(ctx context.Context, ref string) (*fleet.Snapshot, error) {
	want, err := r.at.artifact.other(ref)
	if err != nil {
		return nil, err
	}
	other := &registryArtifact{at: r.at, limits: r.limits, keys: r.keys, client: r.client, fetching: semaphore.NewWeighted(1)}
	other.at.artifact = &want
	other.last.Store(r.last.Load())
	return other.Fetch(ctx, "")
}

// otherGitRef parses a ref that comes from a caller instead of the SOURCE. It
// is only looked up among the refs that the server lists, and never sent
// anywhere.
func otherGitRef(ref string) (gitRef, error) {
	want, err := parseGitRef(map[string]string{"ref": ref})
	if err != nil || len(ref) > maxRefLength {
		return gitRef{}, invalidRef(ref, "a branch, a tag, a commit by its 40 digits, or a range such as semver:>=1.0.0")
	}
	return want, nil
}

// other returns the same artifact at another ref, which comes from a caller.
func (a artifact) other(ref string) (artifact, error) {
	a.tag, a.digest, a.semver = "", "", ""
	versions, ranged := strings.CutPrefix(ref, semverPrefix)
	switch {
	case ranged && version.CheckRange(versions) == nil:
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

// maxRefLength is the maximum length of a ref from a caller in bytes, because
// it appears in answers and logs. Git hosts allow no longer names.
const maxRefLength = 256

func invalidRef(ref, names string) error {
	if len(ref) > maxRefLength {
		return fmt.Errorf("ref: %w: it is longer than %d bytes", fleet.ErrInvalid, maxRefLength)
	}
	return fmt.Errorf("ref %q: %w: name %s", ref, fleet.ErrInvalid, names)
}
