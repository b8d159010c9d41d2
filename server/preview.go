package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// previewTimeout bounds one preview. It may have to fetch a source, and renders every
// cluster.
const previewTimeout = 100 * time.Second

// maxRevision bounds the name of a snapshot's revision, in bytes.
const maxRevision = 512

var errPreviewing = fmt.Errorf("%w: another preview is being made, and only one is made at a time: try again later", api.ErrTooMany)

// ReadTree reads a packed snapshot, within bounds. If the snapshot is bad, the error is a
// fleet.ErrInvalid.
type ReadTree func(ctx context.Context, packed io.Reader) (fs.FS, error)

// getPreview returns what another ref of the source would change.
func (s previewHandlers) getPreview(w http.ResponseWriter, r *http.Request) error {
	query, err := parameters(r, "ref")
	if err != nil {
		return err
	}
	ref := query.Get("ref")
	if ref == "" {
		return fmt.Errorf("%w: ref: name a branch, tag or commit of the source", api.ErrBadRequest)
	}
	return s.preview(w, r, func(ctx context.Context) (*fleet.Preview, error) {
		extendDeadlines(w)
		return s.fleet.PreviewRef(ctx, ref)
	})
}

// postPreview returns what the snapshot in the body would change.
func (s previewHandlers) postPreview(w http.ResponseWriter, r *http.Request) error {
	query, err := parameters(r, "revision")
	if err != nil {
		return err
	}
	revision := query.Get("revision")
	if revision == "" || len(revision) > maxRevision || !utf8.ValidString(revision) || strings.ContainsFunc(revision, unicode.IsControl) {
		return fmt.Errorf("%w: revision: name the snapshot's revision, such as main@sha1:<40 hex>", api.ErrBadRequest)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != api.SnapshotType {
		return fmt.Errorf("%w: Content-Type must be %s", api.ErrMediaType, api.SnapshotType)
	}
	if s.cfg.ReadTree == nil {
		return fmt.Errorf("%w: this server accepts no snapshots; ask for a ref of its source", api.ErrBadRequest)
	}
	return s.preview(w, r, func(ctx context.Context) (*fleet.Preview, error) {
		tree, err := s.cfg.ReadTree(ctx, r.Body)
		switch {
		case errors.Is(err, fleet.ErrInvalid), errors.Is(err, context.DeadlineExceeded):
			return nil, err
		case err != nil:
			return nil, api.BodyError(err)
		}
		extendDeadlines(w)
		return s.fleet.Preview(ctx, &fleet.Snapshot{Revision: revision, Tree: tree})
	})
}

// preview makes one preview at a time, because each costs as much as a release: a client
// that may only read must not keep the server from its work.
func (s previewHandlers) preview(w http.ResponseWriter, r *http.Request, compute func(context.Context) (*fleet.Preview, error)) error {
	if !s.previewing.TryLock() {
		return errPreviewing
	}
	defer s.previewing.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	p, err := compute(ctx)
	if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
		return fmt.Errorf("preview: %w: it was not finished within %s", fleet.ErrNotReady, previewTimeout)
	}
	if err != nil {
		return err
	}
	return answer(w, r, p, stamp{})
}

// extendDeadlines gives a request whose body was read the time of a preview. A connection
// without deadlines keeps what it has.
func extendDeadlines(w http.ResponseWriter) {
	connection, end := http.NewResponseController(w), time.Now().Add(previewTimeout+10*time.Second)
	_ = connection.SetReadDeadline(end) // its end would cancel the request, though all is read
	_ = connection.SetWriteDeadline(end)
}
