package fleet

import (
	"context"
	"fmt"
)

// ReleaseQuery chooses releases. A zero field chooses all.
type ReleaseQuery struct {
	State State
	// Before bounds the generation, exclusively; the page after one ends before its last.
	Before int64
	// Limit is the most releases; 0 stands for 100.
	Limit int
}

// Releases returns those that match, newest first.
func (f *Fleet) Releases(ctx context.Context, q ReleaseQuery) ([]Release, error) {
	return nil, ErrNotReady
}

// Release returns one, by its ID or revision, with the Groups of its impact.
func (f *Fleet) Release(ctx context.Context, id string) (*Release, error) {
	return nil, fmt.Errorf("release %q: %w", id, ErrNotFound)
}

// Decide has somebody decide on a release. Digest is that of the impact that is
// approved; empty stands for the one that the release has. Where what is served has
// changed such that it is another by now, it is a *GuardError, and the release has the new one.
// It is an ErrConflict where the release is in no state for the verdict.
func (f *Fleet) Decide(ctx context.Context, w Write, verdict Verdict, release, digest string) (*Release, error) {
	return nil, fmt.Errorf("release %q: %w", release, ErrNotFound)
}

// Pin keeps the clusters of a pin on its release; one of that name is replaced.
func (f *Fleet) Pin(ctx context.Context, w Write, p Pin) (*Result, error) {
	return nil, ErrNotReady
}

// Unpin takes a pin away. Its clusters follow the fleet again.
func (f *Fleet) Unpin(ctx context.Context, w Write, name string) (*Result, error) {
	return nil, ErrNotReady
}

// Pins are those in force, sorted by name.
func (v *View) Pins() []*Pin { return nil }

// Pinned is the pin that keeps a member on its release; nil for none.
func (v *View) Pinned(m *Member) *Pin { return nil }

// Why says why a member is not on the release that the fleet goes to, in words for
// people; "" where it is.
func (v *View) Why(m *Member) string { return "" }

// Preview tells what a snapshot would do as the next release. It changes nothing.
func (f *Fleet) Preview(ctx context.Context, s *Snapshot) (*Preview, error) {
	return nil, ErrNotReady
}

// PreviewRef does so for another ref of the source: a branch, tag or commit of a Git
// repository, a tag or digest of an artifact. It is an ErrNotFound where there is none
// such, and an ErrConflict where the source has no refs.
func (f *Fleet) PreviewRef(ctx context.Context, ref string) (*Preview, error) {
	return nil, ErrNotReady
}

// Compare tells what lies between two views of fleets, with the values of fields.
func Compare(before, after *View) (*Impact, error) { return nil, ErrNotReady }
