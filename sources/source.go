package sources

import (
	"context"
	"io"

	"github.com/tributary-gitops/tributary/fleet"
)

// Source is a fleet.Source that holds connections until it is closed. Its
// snapshots need neither: they can be read for as long as they are held.
type Source interface {
	fleet.Source
	io.Closer
}

// Open returns the source that ref names: a directory, the URL of a Git
// repository such as https://host/repo.git?ref=main, or of an OCI artifact such
// as oci://registry/repo:tag. It only parses, so that a source which is down can
// be opened and asked again later. A ref that is not a SOURCE, or options that
// it cannot have, are a fleet.ErrInvalid whose text never repeats a credential.
func Open(ref string, o Options) (Source, error) {
	at, err := parseLocation(ref)
	if err != nil {
		return nil, err
	}
	if err := o.check(at); err != nil {
		return nil, err
	}
	o.Limits = o.Limits.orDefaults()
	switch {
	case at.repository != nil:
		return newRepository(at, o)
	case at.artifact != nil:
		return newRegistryArtifact(at, o)
	}
	return newDirectory(at.directory, o.Limits), nil
}

// turn lets one Fetch run at a time, and unlike a mutex lets the others give up
// waiting, because a Fetch may hang as long as its host does.
type fetchMutex chan struct{}

func newFetchMutex() fetchMutex { return make(fetchMutex, 1) }

func (t fetchMutex) lock(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t fetchMutex) unlock() { <-t }
