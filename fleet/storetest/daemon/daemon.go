// Package daemon runs a program beside a test that needs it as a server, such as PostgreSQL:
//
//	p := daemon.Start(t, exec.Command("registry", "serve"))
//	t.Cleanup(func() { p.Stop(syscall.SIGTERM, time.Minute) })
//
// On Linux the program ends with the process of the test, however that ends.
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

// Start starts a command and collects its output.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // so that Ctrl-C reaches only the test
	endWithParent(cmd.SysProcAttr)
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the thread that started the process ends, so the
		// thread must live as long as the process.
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

// Stop sends the signal and reports whether the process ended in time. One that did not is killed.
func (p *Process) Stop(signal os.Signal, patience time.Duration) bool {
	_ = p.cmd.Process.Signal(signal) // it may have ended already
	select {
	case <-p.done:
		return true
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		return false
	}
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Write collects output of the process.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

// Output returns what the process has printed so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}
