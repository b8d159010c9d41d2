package main

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// TestServersComeAndGo runs two servers on one PostgreSQL behind a TCP balancer. They are
// killed, stopped and started again, and the database cuts connections and is restarted,
// during commits, writes and polls. The test checks that
//
//   - a poll is answered with 200, or its repetition if the connection broke;
//   - both servers give the same answer for the same generation;
//   - the generation of a server never goes back;
//   - no acknowledged write is lost, and both servers serve the last write of each cluster.
//
// `make soak` runs it for SOAKTIME with a fleet of 200 clusters. Then it also checks what
// depends on time: how soon a write on one server is visible on the other, and that no
// cluster gets an older generation than at its last poll.
func TestServersComeAndGo(t *testing.T) {
	t.Parallel()
	s := newServers(t, soakTime(t))
	s.begin()
	for round := 0; round < 2 || time.Since(s.start) < s.soak; round++ {
		for i, p := range s.processes {
			s.trouble.during(func() {
				if (round+i)%2 == 0 {
					p.kill()
				} else {
					p.interrupt()
				}
				s.awaitProgress() // the other server continues
				p.start()
			})
			s.awaitProgress()
			s.rest()
		}
		if s.soak == 0 || round%10 == 9 {
			s.troubleDatabase()
		}
	}
	s.end()
}

// soakTime returns the duration of a soak test, or 0.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TRIBUTARY_SOAK_TIME")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("TRIBUTARY_SOAK_TIME: %v", err)
	}
	return d
}

// servers are two servers with their database, balancer and clients.
type servers struct {
	*pollLog
	*acknowledged
	t         testing.TB
	soak      time.Duration
	start     time.Time
	fleet     servedFleet
	repo      *exampleRepo // of the fleet
	database  *pgtest.Server
	processes []*process
	urls      []string // host:port
	balancer  *balancer
	trouble   trouble
	commits   int
	done      chan struct{}
	all       sync.WaitGroup
	stop      func()
}

func newServers(t *testing.T, soak time.Duration) *servers {
	t.Helper()
	s := &servers{
		pollLog: newPollLog(t), acknowledged: &acknowledged{reasons: map[int64]string{}, last: map[string][]string{}},
		t: t, soak: soak, start: time.Now(), fleet: newServedFleet(t, soak), database: pgtest.Start(t), done: make(chan struct{}),
	}
	s.repo = s.fleet.repo
	url := s.database.Database(t)
	args := []string{s.repo.url, "--interval", "200ms", "--store", url, "--log-format", "json", "--poll-rate", "0", "--request-rate", "0"}
	for range 2 {
		p := newProcess(t, args...)
		s.processes, s.urls = append(s.processes, p), append(s.urls, p.listen)
	}
	s.balancer = newBalancer(t, s.urls...)
	return s
}

// begin starts the clients, which run until end.
func (s *servers) begin() {
	const pollers = 6
	for n := range pollers {
		s.all.Go(func() { s.pollAll(n, pollers) })
	}
	for n := range 2 {
		s.all.Go(func() { s.writeAll(n) })
	}
	s.all.Go(s.pollBoth)
	s.all.Go(s.commitAll)
	stop := sync.OnceFunc(func() { close(s.done); s.all.Wait() })
	s.t.Cleanup(stop)
	s.stop = stop
}

func (s *servers) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// rest waits for a while without faults.
func (s *servers) rest() { s.pause(0, 4*time.Second) }

func (s *servers) troubleDatabase() {
	s.trouble.during(func() {
		s.trouble.noDatabase.Store(true)
		s.database.Run(s.t, s.database.URL("postgres"), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()`)
		s.awaitProgress()
		s.database.Stop(s.t)
		s.awaitPolls(500) // polls work without the database
		s.database.Resume(s.t)
		s.awaitProgress()
	})
	s.trouble.noDatabase.Store(false)
	s.rest()
}

// end stops all clients and checks the final state.
func (s *servers) end() {
	s.stop()
	s.await("agreement", func() bool {
		a, _ := s.processes[0].poll(s.repo.clusters[0], s.repo.sets[0])
		b, _ := s.processes[1].poll(s.repo.clusters[0], s.repo.sets[0])
		return a == b
	})
	for at, p := range s.processes {
		for _, cluster := range s.repo.clusters {
			for _, set := range s.repo.sets {
				l := line{addr: p.listen}
				s.pollOf(&l, at, cluster, set)
			}
		}
	}
	s.wantKept()
	s.report()
}

// interrupt stops the process as Kubernetes does.
func (p *process) interrupt() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("stopping a server: %v\n%s", err, &p.log)
	}
	p.cmd = nil
}
