package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkPollAgainstNginx asks what a poll costs beside the cheapest way there is to
// serve files: the rate of keep-alive polls of a 13 KB answer, with a token and gzip, as a
// ratio to that of nginx, which serves the same compressed bytes with gzip_static and the
// same headers, but checks no token. nginx has a worker for each core, sendfile, and no
// access log. The client is that of BenchmarkPoll, with one connection to each, in turns of ten;
// it is in one process with Tributary's server and takes processor time from it,
// while nginx has processes of its own.
func BenchmarkPollAgainstNginx(b *testing.B) {
	if _, err := exec.LookPath("nginx"); err != nil {
		b.Skip("nginx is not installed")
	}
	polled := newPoller(b, listening(b, benchServer(b)))
	static := newPoller(b, nginxWith(b, polled.first))
	ours, _ := io.ReadAll(polled.first.Body)
	theirs, _ := io.ReadAll(static.first.Body)
	if !bytes.Equal(ours, theirs) {
		b.Fatal("the answers are not the same bytes")
	}
	againstPoller(b, "nginx", static, polled)
}

const nginxConfig = `worker_processes auto;
daemon off;
pid %[1]s/pid;
events {}
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/json;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  server {
    listen %[2]s;
    root %[1]s;
    gzip_static always;
    add_header Tributary-Revision %[3]s;
    add_header Tributary-Generation %[4]s;
    add_header Cache-Control no-cache;
    add_header Vary Accept-Encoding;
  }
}
`

// nginxWith has nginx serve that response, and returns its address.
func nginxWith(b *testing.B, r *http.Response) string {
	b.Helper()
	dir, err := os.MkdirTemp("", "nginx") // one that a worker of another user may enter
	must(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(b, os.Chmod(dir, 0o755))
	body, _ := io.ReadAll(r.Body) // from memory
	r.Body = io.NopCloser(bytes.NewReader(body))
	file := filepath.Join(dir, filepath.FromSlash(kedaPath)+".gz")
	must(b, os.MkdirAll(filepath.Dir(file), 0o755))
	must(b, os.WriteFile(file, body, 0o644))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	address := ln.Addr().String()
	_ = ln.Close() // nginx wants to be told a port
	config := filepath.Join(dir, "nginx.conf")
	must(b, os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, address, r.Header.Get("Tributary-Revision"), r.Header.Get("Tributary-Generation")), 0o644))
	runNginx(b, config, filepath.Join(dir, "error.log"))
	eventually(b, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return address
}

func runNginx(b *testing.B, config, log string) {
	b.Helper()
	cmd := exec.Command("nginx", "-c", config, "-e", log)
	must(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // a fast stop, workers included
		_ = cmd.Wait()
	})
}
