package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

// pipe is a git-upload-pack that runs on this machine or on another one.
type pipe struct {
	// hint says what to check if the host refuses.
	hint   string
	stdin  io.WriteCloser
	stdout *transport.StallReader
	stderr headBuffer
	wait   func() error
	// kill ends the program or the connection, in any state.
	kill func()
}

// open reads the refs. It ends the program if that fails.
func (p *pipe) open(ctx context.Context) (*remote, error) {
	refs, err := readRefs(p.stdout)
	if err != nil {
		err = p.explain(ctx, err)
		p.close()
		return nil, err
	}
	return &remote{p, refs}, nil
}

func (p *pipe) close() {
	p.kill()
	_ = p.stdout.Close() // It only releases its context.
}

// errClosed is the error for a program that ended before it read the request.
var errClosed = errors.New("the host ended the connection during the request")

func (p *pipe) ask(ctx context.Context, request []byte) (io.ReadCloser, error) {
	_, err := p.stdin.Write(request)
	err = errors.Join(err, p.stdin.Close())
	answer := pipeBody{p.stdout, p.close}
	if err == nil {
		return answer, nil
	}
	// The host may have said why before it ended.
	var refusal pktline.ErrorLine
	if refusal.Decode(answer) == nil && refusal.Text != "" {
		err = &refusal
	} else {
		err = errClosed
	}
	err = p.explain(ctx, err)
	_ = answer.Close() // It has failed already.
	return nil, err
}

type pipeBody struct {
	io.Reader
	end func()
}

func (b pipeBody) Close() error { b.end(); return nil }

// stderrWait is how long to wait for the host's error message.
const stderrWait = 5 * time.Second

// explain adds the host's error message, which is the only information if
// git-upload-pack did not run.
func (p *pipe) explain(ctx context.Context, err error) error {
	var errorLine *pktline.ErrorLine
	switch {
	case errors.As(err, &errorLine):
		return p.refusal(errorLine.Text, err)
	case !errors.Is(err, packp.ErrEmptyInput) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errClosed):
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = p.wait() // The reason is in stderr.
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	case <-time.After(stderrWait):
	}
	if text := p.stderr.String(); text != "" {
		return p.refusal(text, err)
	}
	return fmt.Errorf("%w without a message; is git installed there, and may the user run it?", errClosed)
}

// notFoundText matches the messages of hosts for a repository that does not
// exist, or not for this user.
var notFoundText = regexp.MustCompile(`(?i)not found|does not exist|could not be found|does not appear to be a git repository|no such (project|repository)`)

// forbiddenText matches the messages of hosts for a user without permission.
var forbiddenText = regexp.MustCompile(`(?i)permission|denied|not authorized|unauthorized|forbidden`)

// refusal turns a host's message into an error of the matching kind, as far as
// its text shows one: Git has no codes.
func (p *pipe) refusal(text string, err error) error {
	said := "the host says: " + strings.TrimSpace(text)
	switch {
	case strings.Contains(text, "dubious ownership"):
		said = "the repository belongs to another user, and git does not read such repositories by default; run git config --global --add safe.directory with its path, as the user that runs tributary"
	case notFoundText.MatchString(text):
		return fmt.Errorf("%w; %s; %s", fleet.ErrNotFound, p.hint, said)
	case forbiddenText.MatchString(text):
		return fmt.Errorf("%w; %s; %s", fleet.ErrForbidden, p.hint, said)
	}
	return message.Reword(err, said)
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

// fileDialer runs git, for a repository on this machine.
type fileDialer struct{ path string }

func (fileDialer) close() {}

func (d fileDialer) dial(ctx context.Context) (*remote, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := exec.CommandContext(ctx, "git", "upload-pack", d.path)
	c.WaitDelay = time.Second
	wait := sync.OnceValue(c.Wait)
	p := &pipe{hint: "check the URL", wait: wait, kill: func() { cancel(nil); _ = wait() }}
	c.Stderr = &p.stderr
	var err error
	if p.stdin, err = c.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		cancel(nil)
		return nil, err
	}
	p.stdout = transport.NewStallReader(ctx, stdout, cancel, transport.StallTimeout)
	return p.open(ctx)
}
