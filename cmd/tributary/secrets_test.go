package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// TestNothingShowsACredential uses a server as admins, operators and clusters do, with valid
// and invalid requests, and searches all logs and answers for their credentials. Only the
// answer that creates a credential may contain it.
func TestNothingShowsACredential(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const admin = "admin-4f1b2c3d4e5f60718293"
	adminFile := file("admin", admin)
	database := pgtest.Start(t)
	p := newProcess(t, writeFleet(t, "ann", "bob"), "--store", database.Database(t), "--admin-token-file", adminFile, "--log-level", "debug")
	shown := &bytes.Buffer{}
	run := func(tokenFile string, args ...string) string {
		cmd := command(t, append(args, "--server", p.url, "--token-file", tokenFile)...)
		var out, log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &log
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		shown.Write(log.Bytes())
		return out.String()
	}
	token := func(out string) string {
		secret := strings.TrimSpace(out)
		if len(secret) < 20 || strings.ContainsAny(secret, " \n") {
			t.Fatalf("got no token: %q\n%s", out, shown)
		}
		return secret
	}
	secrets := []string{admin}
	keep := func(name string, out string) string {
		secrets = append(secrets, token(out))
		return file(name, token(out))
	}
	operator := keep("operator", run(adminFile, "token", "create", "--role", "operator", "--name", "eu", "--selector", "environment=dev"))
	boot := keep("boot", run(adminFile, "token", "create", "--role", "bootstrap", "--uses", "2"))
	own := keep("own", run(boot, "register", "--name", "dot", "--labels", "environment=dev"))
	rotated := keep("rotated", run(own, "register", "--name", "dot", "--idempotency-key", "a-key-that-nobody-guesses"))
	secrets = append(secrets, "a-key-that-nobody-guesses")
	wrong := file("wrong", "wrong-00112233445566778899")
	secrets = append(secrets, "wrong-00112233445566778899")

	for _, file := range []string{adminFile, operator, boot, own, rotated, wrong} {
		for _, args := range [][]string{
			{"get", "clusters", "-o", "yaml"}, {"get", "tokens", "-o", "yaml", "--all"}, {"get", "history", "-o", "yaml"}, {"get", "deltas", "-o", "yaml"},
			{"patch", "dot", "App/web", "--set", "spec.tag=v2", "--reason", "a try"}, {"patch", "ann", "App/web", "--set", "spec.tag=v2"},
			{"token", "revoke", "nothing"}, {"register", "--name", "ann", "--timeout", "1s"}, {"decommission", "nothing", "--wait=false"}, {"rollback", "--to", "1", "--dry-run"},
		} {
			out := run(file, args...)
			if args[0] == "register" && strings.HasPrefix(out, "trb_") {
				secrets = append(secrets, token(out)) // this answer created the token
				continue
			}
			shown.WriteString(out)
		}
	}
	for _, path := range []string{"/metrics", "/api/v1/history?limit=500", "/api/v1/tokens?all=true", "/api/v1/clusters", "/api/v1/releases"} {
		_, _, body := p.try("GET", path, "", "Authorization", "Bearer "+admin)
		shown.Write(body)
	}
	p.try("GET", "/api/v1/clusters?token="+secrets[1], "", "Authorization", "Bearer "+admin)
	p.interrupt()
	shown.Write(p.log.Bytes())
	for _, secret := range secrets {
		if at := strings.Index(shown.String(), secret); at >= 0 {
			text := shown.String()
			t.Errorf("the credential %s is shown:\n%s", secret, text[max(0, at-300):min(len(text), at+100)])
		}
	}
	if !strings.Contains(shown.String(), "request_id") || !strings.Contains(shown.String(), "kind: registration") {
		t.Error("the logs and answers are missing")
	}
}
