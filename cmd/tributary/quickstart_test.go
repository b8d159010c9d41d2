package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestQuickStartOfREADME runs the commands of the README's quick start, except for the clone
// and with another port, because 8080 may be in use.
func TestQuickStartOfREADME(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Quick start")
	section, _, _ = strings.Cut(section, "\n## ")
	if !strings.Contains(section, "\nmake run\n") || !strings.Contains(section, "`make test`") {
		t.Errorf("the quick start does not say make run and make test")
	}
	urls := regexp.MustCompile(`(?m)^curl -s http://127\.0\.0\.1:8080(\S+)$`).FindAllStringSubmatch(section, -1)
	if len(urls) < 2 {
		t.Fatalf("the quick start has %d curl lines, want some", len(urls))
	}
	base := makeRun(t)
	for _, url := range urls {
		answer, err := http.Get(base + url[1])
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]any
		if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || answer.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("GET %s = %d %v, %v", url[1], answer.StatusCode, body, err)
		}
		_ = answer.Body.Close()
	}
}

// makeRun starts `make run` on a free port and returns its URL once it is ready.
func makeRun(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	_ = free.Close()

	var output strings.Builder
	cmd := exec.Command("make", "-C", "../..", "run", "PORT="+port, "STORE=sqlite:"+filepath.Join(t.TempDir(), "run.db"))
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // make does not forward signals
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		<-ended
	})
	base := "http://127.0.0.1:" + port
	for deadline := time.Now().Add(5 * patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("make run ended:\n%s", output.String())
		default:
		}
		if answer, err := http.Get(base + "/readyz"); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return base
			}
		}
	}
	t.Fatal("make run does not become ready")
	return ""
}
