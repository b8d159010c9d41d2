package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// TestServersComeAndGo has two servers on one PostgreSQL, which are killed, stopped
// and started again, a database that is restarted and cuts connections, releases and
// writes, while clusters poll. A poll that meets a broken connection is tried again
// at the other server, as a balancer does and the operator after it, and must then
// be answered.
func TestServersComeAndGo(t *testing.T) {
	names := []string{"ann", "bob", "cid"}
	root := writeFleet(t, names...)
	database := pgtest.Start(t)
	url := database.Database(t)
	args := []string{root, "--store", url, "--log-format", "json", "--poll-rate", "0", "--request-rate", "0"}
	servers := []*process{newProcess(t, args...), newProcess(t, args...)}
	w := &watch{t: t, urls: []string{servers[0].url, servers[1].url}, bodies: map[string]string{}, last: make([]int64, 2), done: make(chan struct{})}
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() { w.pollAll(names[n%len(names)]) })
	}
	for n := range 2 {
		all.Go(func() { w.writeAll(n, names) })
	}
	stop := sync.OnceFunc(func() { close(w.done); all.Wait() })
	t.Cleanup(stop)

	for round := range 2 {
		for i, p := range servers {
			w.awaitProgress()
			if (round+i)%2 == 0 {
				p.kill()
			} else {
				p.interrupt()
			}
			w.awaitProgress() // the other one goes on
			p.start()
			w.release(root, fmt.Sprintf("v%d-%d", round, i))
		}
		w.awaitProgress()
		database.Run(t, database.URL("postgres"), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()`)
		w.awaitProgress()
		database.Stop(t)
		w.awaitPolls(500) // without it as well
		database.Resume(t)
		w.awaitProgress()
	}
	stop()
	w.settle(servers)
	w.wantAcknowledged(servers)
}

// interrupt ends the process as Kubernetes does.
func (p *process) interrupt() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("a server that is stopped: %v\n%s", err, &p.log)
	}
	p.cmd = nil
}

// watch polls and writes, and holds what it hears against what must be.
type watch struct {
	t    *testing.T
	urls []string
	done chan struct{}

	mu     sync.Mutex
	polls  int
	acks   []string          // the keys of the writes that were acknowledged, as cluster/key
	bodies map[string]string // by cluster and generation
	last   []int64           // by server: the generation that it was at last
}

func (w *watch) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// pollAll polls for a cluster, now one server and now the other.
func (w *watch) pollAll(cluster string) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	for n := 0; !w.ended(); n++ {
		var err error
		for try := range 4 {
			if err = w.poll(client, cluster, (n+try)%len(w.urls)); err == nil {
				break
			}
		}
		if err != nil && !w.ended() {
			w.t.Errorf("a poll fails at every server: %v", err)
		}
	}
}

// poll asks one server. The error is that of a broken connection.
func (w *watch) poll(client *http.Client, cluster string, at int) error {
	w.mu.Lock()
	before := w.last[at]
	w.mu.Unlock()
	answer, err := client.Get(w.urls[at] + "/api/v1/flux/clusters/" + cluster + "/apps")
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polls++
	if answer.StatusCode != http.StatusOK {
		w.t.Errorf("a poll = %d %s, want 200", answer.StatusCode, body)
		return nil
	}
	generation, err := strconv.ParseInt(answer.Header.Get("Tributary-Generation"), 10, 64)
	if err != nil || generation < before {
		w.t.Errorf("server %d answers with generation %d (%v), and was at %d when it was asked", at, generation, err, before)
	}
	w.last[at] = max(w.last[at], generation)
	key := fmt.Sprintf("%s at %d", cluster, generation)
	if old, known := w.bodies[key]; known && old != string(body) {
		w.t.Errorf("%s is once\n%s\nand once\n%s", key, old, body)
	}
	w.bodies[key] = string(body)
	return nil
}

// writeAll writes to each server in turn. Who hears no answer does not know.
func (w *watch) writeAll(writer int, names []string) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 60 * time.Second}
	defer client.CloseIdleConnections()
	for n := 0; !w.ended(); n++ {
		cluster, key := names[n%len(names)], fmt.Sprintf("w%d-%d", writer, n)
		r, err := http.NewRequest(http.MethodPatch, w.urls[(n+writer)%2]+"/api/v1/clusters/"+cluster+"/objects/App/web",
			strings.NewReader(fmt.Sprintf(`{"spec":{"env":{"%s":"x"}}}`, key)))
		if err != nil {
			w.t.Error(err)
			return
		}
		r.Header.Set("Content-Type", "application/merge-patch+json")
		answer, err := client.Do(r)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		switch answer.StatusCode {
		case http.StatusOK:
			w.mu.Lock()
			w.acks = append(w.acks, cluster+"/"+key)
			w.mu.Unlock()
		case http.StatusServiceUnavailable: // the database is away
		default:
			w.t.Errorf("a write = %d", answer.StatusCode)
		}
		time.Sleep(5 * time.Millisecond) // so that documents stay small
	}
}

// awaitProgress waits until more polls and writes have been answered.
func (w *watch) awaitProgress() {
	w.t.Helper()
	w.mu.Lock()
	acks := len(w.acks)
	w.mu.Unlock()
	w.await("writes", func() bool { return len(w.acks) > acks+5 })
	w.awaitPolls(100)
}

func (w *watch) awaitPolls(n int) {
	w.t.Helper()
	w.mu.Lock()
	polls := w.polls
	w.mu.Unlock()
	w.await("polls", func() bool { return w.polls > polls+n })
}

func (w *watch) await(what string, happened func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		is := happened()
		w.mu.Unlock()
		if is {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("no more %s", what)
		}
	}
}

// release commits a change of the base, and waits until every cluster has it.
func (w *watch) release(root, tag string) {
	w.t.Helper()
	text := "apiVersion: example.com/v1\nkind: App\nmetadata: {name: web}\nspec: {tag: " + tag + "}\n"
	file := filepath.Join(root, "base", "app.yaml")
	if err := errors.Join(os.WriteFile(file+".part", []byte(text), 0o644), os.Rename(file+".part", file)); err != nil {
		w.t.Fatal(err)
	}
	w.await("release "+tag, func() bool {
		for _, body := range w.bodies {
			if strings.Contains(body, `"tag":"`+tag+`"`) {
				return true
			}
		}
		return false
	})
}

// settle waits until both servers are at one generation.
func (w *watch) settle(servers []*process) {
	w.t.Helper()
	w.await("agreement", func() bool {
		a, _ := servers[0].poll("ann", "apps")
		b, _ := servers[1].poll("ann", "apps")
		return a == b
	})
}

// wantAcknowledged wants what was acknowledged to be served by every server.
func (w *watch) wantAcknowledged(servers []*process) {
	w.t.Helper()
	for i, p := range servers {
		served := map[string]string{}
		for _, name := range []string{"ann", "bob", "cid"} {
			_, served[name] = p.poll(name, "apps")
		}
		for _, ack := range w.acks {
			cluster, key, _ := strings.Cut(ack, "/")
			if !strings.Contains(served[cluster], `"`+key+`":"x"`) {
				w.t.Errorf("server %d does not serve the acknowledged write %s", i, ack)
			}
		}
	}
	w.t.Logf("%d polls, %d acknowledged writes", w.polls, len(w.acks))
}
