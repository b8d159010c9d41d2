package git

import (
	"context"
	"errors"
	"io"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// remote is a connection to a repository. It serves one request for objects.
type remote struct {
	session session
	refs    *packp.AdvRefs
}

// session is the part of a go-git session that is used after the refs are
// listed.
type session interface {
	UploadPack(context.Context, *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	Close() error
}

// close ignores errors: by then the data has been read, or reading it has
// failed.
func (r *remote) close() { _ = r.session.Close() }

// pack requests objects. The caller closes the stream.
func (r *remote) pack(ctx context.Context, w want) (*packStream, error) {
	request, err := r.request(w)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	response, err := r.session.UploadPack(ctx, request)
	if err != nil {
		cancel()
		return nil, err
	}
	return &packStream{demultiplex(response, request.Capabilities), response, cancel}, nil
}

func (r *remote) request(w want) (*packp.UploadPackRequest, error) {
	request := packp.NewUploadPackRequestFromCapabilities(r.refs.Capabilities)
	request.Wants = w.hashes
	var wishes []capability.Capability
	if !request.Capabilities.Supports(capability.MultiACK) {
		// Some hosts, such as Azure DevOps, send nothing unless a client offers
		// this, and nearly all hosts support it. go-git does not offer it,
		// because it cannot negotiate this way. Here the request is complete
		// from the start, so there is nothing to negotiate.
		wishes = append(wishes, capability.MultiACKDetailed)
	}
	if r.refs.Capabilities.Supports(capability.NoProgress) {
		wishes = append(wishes, capability.NoProgress)
	}
	if !w.history {
		if !r.refs.Capabilities.Supports(capability.Shallow) {
			return nil, errors.New("the server cannot send a commit without its history; it must offer shallow fetches")
		}
		request.Depth = packp.DepthCommits(1)
		wishes = append(wishes, capability.Shallow)
	}
	if w.have != nil {
		request.Haves = append(request.Haves, w.have.hash)
		request.Shallows = append(request.Shallows, w.have.hash)
		// Without it, Git sends the whole content of a shallow commit. All
		// servers support it; go-git does not offer it, because its own storage
		// cannot read thin packs.
		wishes = append(wishes, capability.ThinPack)
	}
	if r.supportsFilter() {
		request.Filter = packp.FilterBlobLimit(uint64(w.bounds.FileSize)+1, packp.BlobLimitPrefixNone)
		wishes = append(wishes, capability.Filter)
	}
	for _, wish := range wishes {
		if err := request.Capabilities.Set(wish); err != nil {
			return nil, err
		}
	}
	return request, nil
}

// supportsFilter reports whether the server can leave out files that are too
// large.
func (r *remote) supportsFilter() bool { return r.refs.Capabilities.Supports(capability.Filter) }

// packStream is a pack that is being received.
type packStream struct {
	io.Reader
	response io.ReadCloser
	cancel   context.CancelFunc
}

// close ends the stream at any point. Canceling comes first, because a
// git-upload-pack that still has data to send would otherwise be waited for
// forever: go-git kills it only after a failed read.
func (s *packStream) close() {
	s.cancel()
	_, _ = io.Copy(io.Discard, s.response)
	_ = s.response.Close()
}

func demultiplex(r io.Reader, agreed *capability.List) io.Reader {
	switch {
	case agreed.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r)
	case agreed.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r)
	}
	return r
}
