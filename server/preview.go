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

const previewPath = "/api/v1/preview"

// previewTime bounds one preview. A source may have to be fetched for it, and all
// clusters are rendered.
const previewTime = 100 * time.Second

// longestRevision bounds how a snapshot that is sent may be called, in bytes.
const longestRevision = 512

var errPreviewing = fmt.Errorf("%w: another preview is being made, and they are made one by one; ask again", api.ErrTooMany)

// ReadTree reads a packed snapshot that somebody sent, within bounds. What is wrong
// with it is a fleet.ErrInvalid.
type ReadTree func(ctx context.Context, packed io.Reader) (fs.FS, error)

// getPreview tells what another ref of the source would do.
func (s *Server) getPreview(w http.ResponseWriter, r *http.Request) error {
	query, err := parameters(r, "ref")
	if err != nil {
		return err
	}
	ref := query.Get("ref")
	if ref == "" {
		return fmt.Errorf("%w: ref: name a branch, tag or commit of the source", api.ErrBadRequest)
	}
	return s.preview(w, r, func(ctx context.Context) (*fleet.Preview, error) {
		takeTime(w)
		return s.fleet.PreviewRef(ctx, ref)
	})
}

// postPreview tells what a snapshot that is sent would do.
func (s *Server) postPreview(w http.ResponseWriter, r *http.Request) error {
	query, err := parameters(r, "revision")
	if err != nil {
		return err
	}
	revision := query.Get("revision")
	if revision == "" || len(revision) > longestRevision || !utf8.ValidString(revision) || strings.ContainsFunc(revision, unicode.IsControl) {
		return fmt.Errorf("%w: revision: say which one it is, such as main@sha1:<40 hex>", api.ErrBadRequest)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != api.SnapshotType {
		return fmt.Errorf("%w: Content-Type must be %s", api.ErrMediaType, api.SnapshotType)
	}
	if s.cfg.ReadTree == nil {
		return fmt.Errorf("%w: this server reads no snapshots; ask for a ref of its source", api.ErrBadRequest)
	}
	return s.preview(w, r, func(ctx context.Context) (*fleet.Preview, error) {
		tree, err := s.cfg.ReadTree(ctx, r.Body)
		if err != nil {
			return nil, snapshotError(err)
		}
		takeTime(w)
		return s.fleet.Preview(ctx, &fleet.Snapshot{Revision: revision, Tree: tree})
	})
}

// snapshotError tells a body that did not arrive from one that is no snapshot.
func snapshotError(err error) error {
	if errors.Is(err, fleet.ErrInvalid) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return api.BodyError(err)
}

// preview makes one at a time, because each costs as much as a release: whoever may
// only read must not keep the server from what it is there for.
func (s *Server) preview(w http.ResponseWriter, r *http.Request, foresee func(context.Context) (*fleet.Preview, error)) error {
	if !s.previewing.TryLock() {
		return errPreviewing
	}
	defer s.previewing.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), previewTime)
	defer cancel()
	p, err := foresee(ctx)
	if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
		return fmt.Errorf("preview: %w: it was not made within %s", fleet.ErrNotReady, previewTime)
	}
	if err != nil {
		return err
	}
	return answer(w, r, p, stamp{})
}

// takeTime gives a request whose body was read the time of a preview. Where the
// connection cannot be told, it has the usual one.
func takeTime(w http.ResponseWriter) {
	connection, end := http.NewResponseController(w), time.Now().Add(previewTime+10*time.Second)
	_ = connection.SetReadDeadline(end) // whose end would end the request, though all is read
	_ = connection.SetWriteDeadline(end)
}
