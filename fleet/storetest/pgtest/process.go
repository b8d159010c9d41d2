package pgtest

import (
	"bytes"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a server's. On Linux it ends with that of the test, however that ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// start starts a program that runs until it is stopped.
func (s *Server) start(t testing.TB, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: s.command(program, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the test to handle
	endWithParent(p.cmd.SysProcAttr)
	started := make(chan error)
	go func() {
		// The signal is sent when the thread that started the process ends, which
		// thus must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // done is what matters
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return p
}

// stop tells whether the process has ended in time.
func (p *process) stop(patience time.Duration) bool {
	_ = p.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
	select {
	case <-p.done:
		return true
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		return false
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Write takes what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}
