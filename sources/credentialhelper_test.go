package sources_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/sources"
)

// credentialHelper puts a credential helper on PATH.
func credentialHelper(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script), 0o755))
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestOCIAsksCredentialHelpers(t *testing.T) {
	server := newRegistryServer(t, withPassword("robot", "hunter2hunter2"))
	server.oras(writeTree(t, map[string]string{"fleet.yaml": "one"}), "push", server.host+"/fleet:v1", "fleet.yaml")
	// The helper answers for one server, whose name it reads from standard
	// input.
	answer := fmt.Sprintf(`read server; test "$1 $server" = "get %s" && echo '{"ServerURL":"x","Username":"robot","Secret":"hunter2hunter2"}'`, server.host)
	credentialHelper(t, "good", answer)
	credentialHelper(t, "empty", `echo "credentials not found in native keychain"; exit 1`)
	credentialHelper(t, "broken", `echo "hunter2hunter2 was lost"; exit 1`)
	inFile := map[string]any{server.host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("robot:hunter2hunter2"))}}
	for name, c := range map[string]struct {
		config map[string]any
		want   string
	}{
		"for the host":       {map[string]any{"credHelpers": map[string]string{server.host: "good"}}, ""},
		"for all":            {map[string]any{"credsStore": "good"}, ""},
		"host's before all":  {map[string]any{"credHelpers": map[string]string{server.host: "good"}, "credsStore": "broken"}, ""},
		"has none, file has": {map[string]any{"credsStore": "empty", "auths": inFile}, ""},
		"has none":           {map[string]any{"credsStore": "empty"}, "there is none for " + server.host},
		"fails":              {map[string]any{"credsStore": "broken"}, "credential helper docker-credential-broken failed for " + server.host},
		"is missing":         {map[string]any{"credsStore": "absent"}, "docker-credential-absent is not installed"},
		"is a path":          {map[string]any{"credsStore": "../../evil"}, "credential helper ../../evil is not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(c.config)
			must(t, err)
			o := server.options()
			o.OCI.ConfigFile = filepath.Join(t.TempDir(), "config.json")
			must(t, os.WriteFile(o.OCI.ConfigFile, text, 0o600))
			s := openAs(t, server.url("fleet:v1"), o)
			if c.want == "" {
				fetch(t, s, "")
				return
			}
			if err := fetchError(t, s, c.want); strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error = %q, which tells the secret", err)
			}
		})
	}
}

func TestOCICredentialHelpersAreBounded(t *testing.T) {
	server := newRegistryServer(t, withPassword("robot", "hunter2hunter2"))
	config := func(helper string) sources.Options {
		o := server.options()
		o.OCI.ConfigFile = filepath.Join(t.TempDir(), "config.json")
		must(t, os.WriteFile(o.OCI.ConfigFile, []byte(`{"credsStore":"`+helper+`"}`), 0o600))
		return o
	}
	t.Run("what it starts ends with it", func(t *testing.T) {
		alive := filepath.Join(t.TempDir(), "alive")
		must(t, syscall.Mkfifo(alive, 0o600))
		// The helper and the process that it starts both hold the FIFO open.
		credentialHelper(t, "hangs", `exec 9>`+alive+`; sleep 1000 & echo started >&9; wait`)
		s := openAs(t, server.url("fleet:v1"), config("hangs"))
		ctx, cancel := context.WithCancel(deadline(t))
		done := make(chan error, 1)
		go func() {
			_, err := s.Fetch(ctx, "")
			done <- err
		}()
		processes, err := os.Open(alive) // Waits for the helper to open it.
		must(t, err)
		defer processes.Close()
		must(t, processes.SetReadDeadline(time.Now().Add(testTimeout)))
		_, err = io.ReadFull(processes, make([]byte, len("started\n")))
		must(t, err)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Fetch = %v, want context.Canceled", err)
		}
		// The end of the file comes once every process that held it open has ended.
		if rest, err := io.ReadAll(processes); err != nil || len(rest) > 0 {
			t.Errorf("the FIFO holds %q and then %v, want all processes to end", rest, err)
		}
	})
	t.Run("it may not say too much", func(t *testing.T) {
		credentialHelper(t, "babbles", `exec head -c 1000000000000 /dev/zero`)
		fetchError(t, openAs(t, server.url("fleet:v1"), config("babbles")), "docker-credential-babbles failed")
	})
	t.Run("what it says aside is not heard", func(t *testing.T) {
		credentialHelper(t, "leaks", `echo hunter2hunter2 >&2; exit 1`)
		heard := standardError(t, func() {
			fetchError(t, openAs(t, server.url("fleet:v1"), config("leaks")), "docker-credential-leaks failed")
		})
		if strings.Contains(heard, "hunter2") {
			t.Errorf("standard error holds %q, which tells the secret", heard)
		}
	})
}

// standardError returns what is written to standard error while a function
// runs.
func standardError(t *testing.T, while func()) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	must(t, err)
	defer file.Close()
	was := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = was }()
	while()
	text, err := os.ReadFile(file.Name())
	must(t, err)
	return string(text)
}
