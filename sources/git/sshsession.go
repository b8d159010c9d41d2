package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	gittransport "github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

// sshSession is a git-upload-pack that runs on another host.
type sshSession struct {
	client *ssh.Client
	conn   *sshConn
	*ssh.Session
	stdin  io.WriteCloser
	stdout *transport.StallReader
	stderr headBuffer
	most   int64
}

// openUploadPack takes ownership of the client, and lists the refs.
func openUploadPack(ctx context.Context, client *ssh.Client, conn *sshConn, path string, most int64) (*remote, error) {
	s := &sshSession{client: client, conn: conn, most: most}
	err := s.start(ctx, "git-upload-pack "+shellQuote(path))
	if err != nil {
		_ = s.Close() // It has failed already.
		return nil, err
	}
	refs := packp.NewAdvRefs()
	err = refs.Decode(transport.NewLimitedBody(s.stdout, maxRefs, errRefs))
	if errors.Is(err, packp.ErrEmptyAdvRefs) || err == nil && refs.IsEmpty() {
		err = gittransport.ErrEmptyRemoteRepository
	}
	if err != nil {
		err = s.explain(ctx, err) // Explain needs the connection.
		_ = s.Close()             // It has failed already.
		return nil, err
	}
	return &remote{s, refs}, nil
}

func (s *sshSession) start(ctx context.Context, command string) (err error) {
	if s.Session, err = s.client.NewSession(); err != nil {
		return err
	}
	s.Session.Stderr = &s.stderr
	if s.stdin, err = s.StdinPipe(); err != nil {
		return err
	}
	stdout, err := s.StdoutPipe()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	context.AfterFunc(ctx, s.conn.close)
	s.stdout = transport.NewStallReader(ctx, io.NopCloser(stdout), cancel, transport.StallTimeout)
	return s.Start(command)
}

// Close closes the connection in any state.
func (s *sshSession) Close() error {
	err := s.client.Close()
	s.conn.close()
	if s.stdout != nil {
		_ = s.stdout.Close() // It only releases its context.
	}
	return err
}

// UploadPack sends the whole request at once, as go-git does.
func (s *sshSession) UploadPack(ctx context.Context, request *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	stop := context.AfterFunc(ctx, s.conn.close)
	bounded := transport.NewLimitedBody(s.stdout, maxPreamble, errPreamble)
	body := &sshBody{s, stop, bounded}
	response := packp.NewUploadPackResponse(request)
	err := s.send(request)
	if err == nil {
		err = response.Decode(body)
	}
	bounded.Left, bounded.Err = s.most, errTooMuch // Now comes the pack.
	if err != nil {
		err = s.explain(ctx, err) // Explain needs the connection.
		_ = body.Close()          // It has failed already.
		return nil, err
	}
	return response, nil
}

func (s *sshSession) send(request *packp.UploadPackRequest) error {
	if err := request.UploadRequest.Encode(s.stdin); err != nil {
		return err
	}
	if err := request.UploadHaves.Encode(s.stdin, true); err != nil {
		return err
	}
	if err := pktline.NewEncoder(s.stdin).EncodeString("done\n"); err != nil {
		return err
	}
	return s.stdin.Close()
}

// sshBody is the answer to a request.
type sshBody struct {
	session *sshSession
	stop    func() bool
	io.Reader
}

func (b *sshBody) Close() error {
	b.stop()
	return b.session.Close()
}

// stderrWait is how long to wait for the host's error message.
const stderrWait = 5 * time.Second

// explain adds the host's error message, which is the only information if
// git-upload-pack did not run.
func (s *sshSession) explain(ctx context.Context, err error) error {
	var errorLine *pktline.ErrorLine
	if errors.As(err, &errorLine) {
		return hostMessageError(errorLine.Text)
	}
	if !errors.Is(err, packp.ErrEmptyInput) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = s.Wait() // The reason is in stderr.
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	case <-time.After(stderrWait):
	}
	if text := s.stderr.String(); text != "" {
		return hostMessageError(text)
	}
	return errors.New("the host ended the connection without a message; is git installed there, and may the user run it?")
}

// notFoundText matches the messages of hosts for a repository that does not
// exist, or not for this user.
var notFoundText = regexp.MustCompile(`(?i)not found|does not exist|could not be found|does not appear to be a git repository|no such (project|repository)`)

// forbiddenText matches the messages of hosts for a user without permission.
var forbiddenText = regexp.MustCompile(`(?i)permission|denied|not authorized|unauthorized|forbidden`)

// hostMessageError turns a host's message into an error of the matching kind,
// as far as its text shows one.
func hostMessageError(text string) error {
	message := "the host says: " + strings.TrimSpace(text)
	hint := "check the URL, and that the key may read the repository"
	switch {
	case notFoundText.MatchString(text):
		return fmt.Errorf("%w; %s; %s", fleet.ErrNotFound, hint, message)
	case forbiddenText.MatchString(text):
		return fmt.Errorf("%w; %s; %s", fleet.ErrForbidden, hint, message)
	}
	return errors.New(message)
}

// shellQuote quotes a text for the shell that may run the command on the host.
// csh interprets exclamation marks even within quotes.
func shellQuote(text string) string {
	return "'" + strings.NewReplacer(`'`, `'\''`, `!`, `'\!'`).Replace(text) + "'"
}

// headBuffer keeps the beginning of what is written to it.
type headBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (h *headBuffer) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, p[:min(len(p), message.MaxForeign-len(h.text))]...)
	return len(p), nil
}

func (h *headBuffer) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.text)
}
