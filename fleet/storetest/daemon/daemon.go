// Package daemon runs a program beside a test that needs it as a server, such as
// PostgreSQL. On Linux it ends with the process of the test, however that ends.
package daemon

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that runs until it is stopped.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// Start starts a command, and collects what it prints.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the test to handle
	endWithParent(cmd.SysProcAttr)
	started := make(chan error)
	go func() {
		// The signal is sent when the thread that started the process ends, which
		// thus must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // done is what matters
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	return p
}

// Stop sends the signal, and tells whether the process has ended in time.
func (p *Process) Stop(signal os.Signal, patience time.Duration) bool {
	_ = p.cmd.Process.Signal(signal) // it may have ended
	select {
	case <-p.done:
		return true
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		return false
	}
}

// Ended tells whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Write takes what the process prints.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

// Output is what the process has printed.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}
