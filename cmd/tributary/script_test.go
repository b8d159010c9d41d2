package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// raceOptions shortens the time that a process with the race detector waits before it exits,
// by default a second. The scripts start hundreds of processes.
const raceOptions = "atexit_sleep_ms=20"

func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", raceOptions) // cannot fail for this name
	}
	testscript.Main(m, map[string]func(){"tributary": main, "frugal": frugal})
}

// TestScripts runs the binary as its users do, with one script for each behaviour. In
// addition to testscript's commands, scripts can use
//
//	ready                         wait for the server in the background; its URL is then $URL
//	get PATH STATUS FILE [TOKEN]  request PATH, and write headers and body to FILE
//	post PATH STATUS FILE [HEADER: VALUE]...
//	                              send FILE, and write the answer to FILE.answer
//	gitserver DIR                 serve the repositories in DIR with git http-backend at $GIT
//	registry                      start docker-registry at $REGISTRY, without TLS
//	postgres                      start PostgreSQL with an empty database, whose URL is then $DATABASE
//	eventually PATH STATUS REGEXP request PATH until the answer matches
//
// The stores that the scripts leave are checked at the end.
func TestScripts(t *testing.T) {
	t.Parallel()
	postgres := sync.OnceValue(func() *pgtest.Server { return pgtest.Start(t) })
	root := t.TempDir()
	t.Cleanup(func() { checkStoresIn(t, root) })
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		WorkdirRoot:         root,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GIT_CONFIG_GLOBAL", env.WorkDir+"/.gitconfig")
			env.Setenv("GORACE", os.Getenv("GORACE"))
			repository, err := filepath.Abs("../..")
			if err != nil {
				return err
			}
			env.Setenv("REPOSITORY", repository)
			if err := linkTools(env, "oras", "fluxoci"); err != nil {
				return err
			}
			if err := useBuiltCommands(env); err != nil {
				return err
			}
			config := "[user]\n\tname = Test\n\temail = test@example.com\n[init]\n\tdefaultBranch = main\n"
			return os.WriteFile(env.WorkDir+"/.gitconfig", []byte(config), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": ready, "get": get, "post": post, "eventually": eventually, "gitserver": gitserver,
			"registry": registry,
			"postgres": func(ts *testscript.TestScript, neg bool, args []string) {
				url := postgres().Database(t)
				t.Cleanup(func() { checkStore(t, url) })
				ts.Setenv("DATABASE", url)
			},
		},
	})
}

// linkTools puts the programs that make test has built on the PATH of a script, under their
// usual names.
func linkTools(env *testscript.Env, names ...string) error {
	dir := filepath.Join(env.WorkDir, ".bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	env.Setenv("PATH", dir+string(os.PathListSeparator)+env.Getenv("PATH"))
	for _, name := range names {
		if built := os.Getenv(strings.ToUpper(name) + "_CLI"); built != "" {
			if err := os.Symlink(built, filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// useBuiltCommands makes the script run every command but serve with the binary of
// builtCommands.
func useBuiltCommands(env *testscript.Env) error {
	built := builtCommands()
	if built == "" {
		return nil
	}
	self, err := exec.LookPath("tributary") // from testscript.Main
	if err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in serve) exec '%s' \"$@\" ;; *) exec '%s' \"$@\" ;; esac\n", self, built)
	return os.WriteFile(filepath.Join(env.WorkDir, ".bin", "tributary"), []byte(script), 0o755)
}

// patience is how long a test waits for something that must happen.
const patience = time.Minute

func ready(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		addr, err := os.ReadFile(ts.MkAbs("addr"))
		if err != nil {
			continue
		}
		ts.Setenv("URL", "http://"+strings.TrimSpace(string(addr)))
		if len(args) == 1 && args[0] == "-address" {
			return
		}
		if status, _, err := request(ts, "/readyz", ""); err == nil && status == http.StatusOK {
			return
		}
	}
	ts.Fatalf("the server does not become ready")
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: get PATH STATUS FILE [TOKEN]")
	}
	token := ""
	if len(args) == 4 {
		token = args[3]
	}
	status, text, err := request(ts, args[0], token)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(text), 0o600))
	if want := args[1]; strconv.Itoa(status) != want {
		ts.Fatalf("GET %s = %d, want %s\n%s", args[0], status, want, text)
	}
}

func post(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: post PATH STATUS FILE [HEADER: VALUE]...")
	}
	r, err := http.NewRequest(http.MethodPost, ts.Getenv("URL")+args[0], strings.NewReader(ts.ReadFile(args[2])))
	ts.Check(err)
	for _, header := range args[3:] {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]+".answer"), body, 0o600))
	if want := args[1]; strconv.Itoa(answer.StatusCode) != want {
		ts.Fatalf("POST %s = %d, want %s\n%s", args[0], answer.StatusCode, want, body)
	}
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: eventually PATH STATUS REGEXP")
	}
	pattern := regexp.MustCompile(args[2])
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		status, text, err := request(ts, args[0], "")
		if err == nil && strconv.Itoa(status) == args[1] && pattern.MatchString(text) {
			return
		}
		last = fmt.Sprintf("%d %s %v", status, text, err)
	}
	ts.Fatalf("GET %s = %s, want %s with %s", args[0], last, args[1], args[2])
}

func gitserver(ts *testscript.TestScript, neg bool, args []string) {
	path, err := exec.Command("git", "--exec-path").Output()
	ts.Check(err)
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + ts.MkAbs(args[0]), "GIT_HTTP_EXPORT_ALL=1"},
	})
	ts.Defer(server.Close)
	ts.Setenv("GIT", server.URL)
}

func registry(ts *testscript.TestScript, neg bool, args []string) {
	config := `{"version": "0.1", "http": {"addr": "127.0.0.1:0"}, "log": {"level": "info"},
		"storage": {"filesystem": {"rootdirectory": "` + ts.MkAbs(".registry") + `"}}}`
	ts.Check(os.WriteFile(ts.MkAbs(".registry.yml"), []byte(config), 0o600))
	cmd := exec.Command("docker-registry", "serve", ts.MkAbs(".registry.yml"))
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	log, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	listening := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			ts.Setenv("REGISTRY", found[1])
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return
		}
	}
	ts.Fatalf("docker-registry does not start")
}

func request(ts *testscript.TestScript, path, token string) (status int, text string, err error) {
	r, err := http.NewRequest(http.MethodGet, ts.Getenv("URL")+path, nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("User-Agent", "flux-operator/v0.58.1") // the server records polls of this agent
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	var b strings.Builder
	_ = answer.Header.Write(&b)
	return answer.StatusCode, b.String() + "\n" + string(body), err
}
