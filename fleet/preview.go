package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Outcomes of a preview: nothing changes, something does, the release would be held,
// or it would fail.
const (
	OutcomeNone    = "none"
	OutcomeChanges = "changes"
	OutcomeHeld    = "held"
	OutcomeFailed  = "failed"
)

// Preview tells what a snapshot would do as the next release. It changes nothing.
func (f *Fleet) Preview(ctx context.Context, s *Snapshot) (*Preview, error) {
	v, err := f.View()
	if err != nil {
		return nil, err
	}
	b, err := compile(ctx, f.cfg.Renderer, s, f.now())
	if err != nil {
		return nil, err
	}
	t, err := f.try(ctx, b, v, v.state, nil)
	if err != nil {
		return nil, err
	}
	return t.preview()
}

// preview says what the trial found.
func (t *trial) preview() (*Preview, error) {
	p := &Preview{Revision: t.base.release.Revision, Problems: t.problems, Failing: t.failing, Violations: t.violations, Outcome: OutcomeFailed}
	if t.failed() {
		return p, nil
	}
	all, err := effects(t.before, t.next, telling{fields: true, values: true})
	if err != nil {
		return nil, err
	}
	p.Impact = impactOf(all)
	p.Impact.Digest = t.impact.Digest
	for _, w := range wavesOf(t.before, t.next) {
		s := WaveStatus{Name: w.Name, Clusters: len(w.Clusters), Manual: w.Manual}
		if w.Soak > 0 {
			s.Soak = w.Soak.String()
		}
		p.Waves = append(p.Waves, s)
	}
	switch {
	case len(t.violations) > 0:
		p.Outcome = OutcomeHeld
	case p.Impact.Clusters == 0:
		p.Outcome = OutcomeNone
	default:
		p.Outcome = OutcomeChanges
	}
	return p, nil
}

// Referrer is a Source that has other versions beside the one that it follows.
type Referrer interface {
	// At returns the snapshot at a ref: a branch, tag or commit of a Git repository, a
	// tag or digest of an artifact. It is an ErrNotFound where there is none such, and a
	// *RefusedError where no snapshot can be made of it.
	At(ctx context.Context, ref string) (*Snapshot, error)
}

// PreviewRef tells so of another ref of the source. It is an ErrConflict where the
// source has none.
func (f *Fleet) PreviewRef(ctx context.Context, ref string) (*Preview, error) {
	source, has := f.cfg.Source.(Referrer)
	if !has {
		return nil, fmt.Errorf("ref %q: %w: the source of this server has no refs; send the tree itself", ref, ErrConflict)
	}
	limited, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	s, err := source.At(limited, refOf(ref))
	switch {
	case err == nil:
		return f.Preview(ctx, s)
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrInvalid), errors.Is(err, ErrConflict):
		return nil, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	// That the host does not let this server in is no fault of who asks: of what it wraps
	// nothing but the text is told.
	return nil, fmt.Errorf("ref %q: %w: %s", ref, ErrSource, err.Error())
}

// refOf is the ref of a revision, such as main@sha1:<40 hex>; another text is a ref
// already.
func refOf(ref string) string {
	if _, commit, is := strings.Cut(ref, "@sha1:"); is {
		return commit
	}
	if _, digest, is := strings.Cut(ref, "@sha256:"); is {
		return "sha256:" + digest
	}
	return ref
}
