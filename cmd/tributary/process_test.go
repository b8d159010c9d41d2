package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

// process is a server in a process of its own. Tests can kill it and start it again with the
// same arguments and address.
type process struct {
	t      testing.TB
	as     string // the command that TestMain runs
	args   []string
	listen string
	url    string
	cmd    *exec.Cmd
	log    bytes.Buffer // of the current process; read it only after the process has ended
	client *http.Client
}

// newProcess starts serve with these arguments and waits until it is ready.
func newProcess(t testing.TB, args ...string) *process { return newProcessAs(t, "tributary", args...) }

func newProcessAs(t testing.TB, as string, args ...string) *process {
	t.Helper()
	checkStoreAtEnd(t, args)
	p := &process{t: t, as: as, args: args, listen: "127.0.0.1:0", client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
	})
	p.start()
	return p
}

// start returns when the server is ready. It does not connect before the server listens,
// because the kernel could give the port to the connection's own end.
func (p *process) start() {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "addr")
	p.log.Reset()
	p.cmd = command(p.t, append([]string{"serve", "--listen", p.listen, "--addr-file", file}, p.args...)...)
	p.cmd.Args[0] = p.as
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil {
			p.listen = strings.TrimSpace(string(text))
			p.url = "http://" + p.listen
			if status, _, _ := p.try(http.MethodGet, "/readyz", ""); status == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			p.kill()
			p.t.Fatalf("the server does not become ready:\n%s", &p.log)
		}
	}
}

// kill kills the process with SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
	p.client.CloseIdleConnections()
}

// command returns a command of tributary as a process of its own. It is the test binary,
// or for commands other than serve the binary of builtCommands.
func command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if built := builtCommands(); built != "" && args[0] != "serve" {
		path = built
	}
	cmd := exec.Command(path, args...)
	cmd.Args[0] = "tributary" // TestMain runs the command of this name
	return cmd
}

// builtCommands returns the binary of `make build` if tests with -short are to use it: they
// start hundreds of processes, and the race detector multiplies the time of each. Servers
// always run with the race detector, and without -short all commands do. "" means that
// the test binary is used.
func builtCommands() string {
	if !testing.Short() {
		return ""
	}
	return os.Getenv("TRIBUTARY_CLI")
}

// try sends a request with headers given as name, value, name, value, …. The status is 0 if
// there is no answer.
func (p *process) try(method, path, body string, headers ...string) (status int, header http.Header, text []byte) {
	r, err := http.NewRequest(method, p.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, nil
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return 0, nil, nil
	}
	defer func() { _ = answer.Body.Close() }()
	if text, err = io.ReadAll(answer.Body); err != nil {
		return 0, nil, nil
	}
	return answer.StatusCode, answer.Header, text
}

// poll returns the answer to a poll of a cluster and its generation.
func (p *process) poll(cluster, set string) (generation, text string) {
	p.t.Helper()
	status, header, body := p.try(http.MethodGet, "/api/v1/flux/clusters/"+cluster+"/"+set, "")
	if status != http.StatusOK {
		p.t.Fatalf("poll of %s/%s = %d %s, want 200", cluster, set, status, body)
	}
	return header.Get("Tributary-Generation"), string(body)
}

// history returns the entries of the change log after a generation, oldest first.
func (p *process) history(after int64) []api.Change {
	p.t.Helper()
	var all []api.Change
	for cursor := ""; ; {
		status, _, text := p.try(http.MethodGet, "/api/v1/history?limit=500"+cursor, "")
		var page struct {
			Items []api.Change
			Next  string
		}
		if err := json.Unmarshal(text, &page); err != nil || status != http.StatusOK {
			p.t.Fatalf("history = %d %s (%v)", status, text, err)
		}
		for _, c := range page.Items {
			if c.Generation <= after {
				return all
			}
			all = append([]api.Change{c}, all...)
		}
		if page.Next == "" {
			return all
		}
		cursor = "&cursor=" + page.Next
	}
}

// writeFleet creates a fleet repo with one App, web, and clusters with these names.
func writeFleet(t testing.TB, clusters ...string) string {
	t.Helper()
	root := t.TempDir()
	var declared strings.Builder
	for _, name := range clusters {
		fmt.Fprintf(&declared, "---\napiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: %s, labels: {environment: dev}}\n", name)
	}
	for name, text := range map[string]string{
		"fleet.yaml": `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs:
  - {name: apps, kind: App}
  placement:
  - {selector: {}, overlay: base}
`,
		"base/kustomization.yaml": "resources: [app.yaml]\n",
		"base/app.yaml":           "apiVersion: example.com/v1\nkind: App\nmetadata: {name: web}\nspec: {tag: v1}\n",
		"clusters/all.yaml":       declared.String(),
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
