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

// Options say how a source is read. The zero value is fit for use.
type Options struct {
	// Limits bound what a snapshot may cost.
	Limits Limits
}

// Open returns the source that ref names: a directory, or the URL of a Git
// repository such as https://host/repo.git?ref=main. It only parses, so that a
// source which is down can be opened and asked again later. A ref that is not a
// SOURCE is a fleet.ErrInvalid whose text never repeats a credential.
func Open(ref string, o Options) (Source, error) {
	at, err := parseLocation(ref)
	if err != nil {
		return nil, err
	}
	limits := o.Limits.orDefaults()
	if at.repository == nil {
		return newDirectory(at.directory, limits), nil
	}
	return newRepository(at, limits), nil
}

// turn lets one Fetch run at a time, and unlike a mutex lets the others give up
// waiting, because a Fetch may hang as long as its host does.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }
