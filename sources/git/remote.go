package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	gittransport "github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

// dialer opens connections to one repository. It reads keys and other files
// again for each connection.
type dialer interface {
	// dial connects and lists the refs of the repository.
	dial(ctx context.Context) (*remote, error)
	close()
}

func newDialer(c Config) (dialer, error) {
	if s := c.URL.Scheme; c.Options.Provider != "" && s != "http" && s != "https" {
		return nil, message.Invalid("--git-provider issues tokens for https, and the source is not an https URL")
	}
	switch c.URL.Scheme {
	case "file":
		return fileDialer{c.URL.Path}, nil
	case "ssh":
		return sshDialer{c.URL, c.Options, c.Proxy}, nil
	}
	return newHTTPDialer(c)
}

// remote is a connection to a repository. It serves one request for objects.
type remote struct {
	session
	refs *packp.AdvRefs
}

// session is a connection over some protocol.
type session interface {
	// ask sends a request and returns the answer, which the caller closes.
	ask(ctx context.Context, request []byte) (io.ReadCloser, error)
	// explain returns a better error for one that occurred with an answer. It
	// must be called before anything is closed.
	explain(ctx context.Context, err error) error
	close()
}

const (
	// maxRefs is the maximum size of a list of refs, or of the text of an
	// error, in bytes. Both are read into memory.
	maxRefs = 64 << 20
	// maxPreamble is the maximum number of bytes that a server may send before
	// a pack. go-git keeps them in memory. A commit without history needs two
	// lines.
	maxPreamble = 1 << 20
)

var (
	errTooMuch  = errors.New("the server sends more than a fleet repo may contain; move files that no cluster needs elsewhere")
	errRefs     = fmt.Errorf("the server lists more than %s of branches and tags; delete the ones that are not needed", message.Size(maxRefs))
	errPreamble = errors.New("the server sends too much before the requested objects; it is not a Git server, or it is broken")
)

// readRefs reads the list of refs that a server sends first.
func readRefs(r io.ReadCloser) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	err := refs.Decode(transport.NewLimitedBody(r, maxRefs, errRefs))
	if errors.Is(err, packp.ErrEmptyAdvRefs) || err == nil && refs.IsEmpty() {
		return nil, gittransport.ErrEmptyRemoteRepository
	}
	return refs, err
}

// packStream is a pack that is being received.
type packStream struct {
	io.Reader
	answer io.Closer
}

// close ends the stream at any point.
func (s *packStream) close() { _ = s.answer.Close() } // What was needed has been read, or has failed.

// pack requests objects. The caller closes the stream.
func (r *remote) pack(ctx context.Context, w want) (*packStream, error) {
	request, err := r.request(w)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = errors.Join(
		request.UploadRequest.Encode(&text),
		request.UploadHaves.Encode(&text, false),
		pktline.NewEncoder(&text).EncodeString("done\n"),
	)
	if err != nil {
		return nil, err
	}
	answer, err := r.ask(ctx, text.Bytes())
	if err != nil {
		return nil, err
	}
	limited := transport.NewLimitedBody(answer, maxPreamble, errPreamble)
	response := packp.NewUploadPackResponse(request)
	if err := response.Decode(limited); err != nil {
		explained := r.explain(ctx, err)
		if explained.Error() == err.Error() {
			explained = fmt.Errorf("%w: %w", errAnswer, err)
		}
		_ = answer.Close() // It has failed already.
		return nil, explained
	}
	limited.Left, limited.Err = w.bounds.transfer, errTooMuch // The pack follows.
	return &packStream{demultiplex(response, request.Capabilities), answer}, nil
}

func (r *remote) request(w want) (*packp.UploadPackRequest, error) {
	offered := r.refs.Capabilities
	request := packp.NewUploadPackRequestFromCapabilities(offered)
	request.Wants = w.hashes
	var wishes []capability.Capability
	if !request.Capabilities.Supports(capability.MultiACK) {
		// Some hosts, such as Azure DevOps, send nothing unless a client offers
		// this, and nearly all hosts support it. go-git does not offer it,
		// because it cannot negotiate this way. Here the request is complete
		// from the start, so there is nothing to negotiate.
		wishes = append(wishes, capability.MultiACKDetailed)
	}
	if offered.Supports(capability.NoProgress) {
		wishes = append(wishes, capability.NoProgress)
	}
	if !w.history {
		if !offered.Supports(capability.Shallow) {
			return nil, errors.New("the server cannot send a commit without its history; it must offer shallow fetches")
		}
		request.Depth = packp.DepthCommits(1)
		wishes = append(wishes, capability.Shallow)
	}
	if w.have != nil {
		request.Haves = append(request.Haves, w.have.hash)
		request.Shallows = append(request.Shallows, w.have.hash)
		// Without it, Git sends the whole content of a shallow commit.
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

func demultiplex(r io.Reader, agreed *capability.List) io.Reader {
	switch {
	case agreed.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r)
	case agreed.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r)
	}
	return r
}

// BaseURL returns the URL of a repository as users write it.
func BaseURL(u *url.URL) string {
	if u.Scheme != "file" {
		return u.String()
	}
	local := *u
	local.Scheme = "git+file"
	return local.String()
}
