package git

import (
	"context"
	"errors"
	"fmt"

	gittransport "github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/file"
	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// dialer opens connections to one repository. It reads keys and other files
// again for each connection.
type dialer interface {
	// dial connects and lists the refs of the repository.
	dial(ctx context.Context) (*remote, error)
	close()
}

func newDialer(c Config) (dialer, error) {
	switch c.URL.Scheme {
	case "file":
		return fileDialer{c.URL.Path}, nil
	case "ssh":
		return newSSHDialer(c), nil
	}
	return newHTTPDialer(c)
}

// fileDialer runs git, for a repository on this machine.
type fileDialer struct{ path string }

func (fileDialer) close() {}

func (d fileDialer) dial(ctx context.Context) (*remote, error) {
	s, err := file.DefaultClient.NewUploadPackSession(&gittransport.Endpoint{Protocol: "file", Path: d.path}, nil)
	if err != nil {
		return nil, err
	}
	return listRefs(ctx, s)
}

// listRefs takes ownership of the session.
func listRefs(ctx context.Context, s gittransport.UploadPackSession) (*remote, error) {
	refs, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		_ = s.Close() // The session has failed already.
		return nil, err
	}
	return &remote{s, refs}, nil
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
