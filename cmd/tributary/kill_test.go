package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// TestAcknowledgedWritesSurviveKill kills the server 50 times, or 6 times with -short, during
// a stream of writes. Three writers each patch an object of one cluster, and a fourth
// changes all clusters at once.
func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	t.Parallel()
	clusters := []string{"c-0", "c-1", "c-2"}
	log := &killLog{acknowledged: map[string]int64{}, seen: map[string]bool{}, deltas: map[string]*fleet.Delta{}}
	p := newProcess(t, writeFleet(t, clusters...), "--store", "sqlite:"+filepath.Join(t.TempDir(), "tributary.db"))
	log.p = p
	rounds := 50
	if testing.Short() {
		rounds = 6
	}
	for round := range rounds {
		log.writeUntilKilled(round, clusters)
		p.start()
		log.check(clusters)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	whole := p.history(0)
	if !reflect.DeepEqual(whole, log.whole) {
		t.Errorf("the history has %d entries, want the %d that it had after each restart, unchanged", len(whole), len(log.whole))
	}
	if got, least := len(log.acknowledged), rounds; got < least {
		t.Errorf("%d writes were acknowledged, want at least %d to have tested something", got, least)
	}
	t.Logf("%d writes were acknowledged, and %d more were kept", len(log.acknowledged), len(whole)-1-len(log.acknowledged))
}

// killLog holds the acknowledged writes and the history of the server.
type killLog struct {
	p            *process
	mu           sync.Mutex
	acknowledged map[string]int64 // generations, by written value
	whole        []api.Change
	seen         map[string]bool // the reasons in whole
	deltas       map[string]*fleet.Delta
}

// writeUntilKilled lets all writers write without a pause, and kills the server after some
// answers and some time. Both depend on the round.
func (l *killLog) writeUntilKilled(round int, clusters []string) {
	var answers atomic.Int64
	enough := make(chan struct{})
	after := int64(1 + round*7%23)
	var writing sync.WaitGroup
	for w := range len(clusters) + 1 {
		writing.Go(func() {
			for n := 0; ; n++ {
				value := fmt.Sprintf("w%d-r%d-n%d", w, round, n)
				if !l.write(w, round, value, clusters) {
					return
				}
				if answers.Add(1) == after {
					close(enough)
				}
			}
		})
	}
	select {
	case <-enough:
		time.Sleep(time.Duration(round*31%50) * 100 * time.Microsecond)
	case <-time.After(patience):
		l.p.t.Error("the writers get no answers")
	}
	l.p.kill()
	writing.Wait()
}

// write reports whether the write was acknowledged.
func (l *killLog) write(w, round int, value string, clusters []string) bool {
	method, path, kind := http.MethodPatch, "", "application/merge-patch+json"
	body := fmt.Sprintf(`{"spec": {"own": %q, "r%d": %[1]q}}`, value, round)
	if w < len(clusters) {
		path = "/api/v1/clusters/" + clusters[w] + "/objects/App/web"
	} else {
		method, path, kind = http.MethodPut, "/api/v1/deltas/group", "application/json"
		body = fmt.Sprintf(`{"selector": {}, "edits": [{"kind": "App", "name": "web", "patch": {"spec": {"all": %q}}}]}`, value)
	}
	status, _, text := l.p.try(method, path, body, "Content-Type", kind, "Tributary-Reason", value)
	if status == 0 {
		return false
	}
	var result fleet.Result
	if err := json.Unmarshal(text, &result); err != nil || status != http.StatusOK {
		l.p.t.Errorf("%s = %d %s, want 200", value, status, text)
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged[value] = result.Generation
	return true
}

// check reads and checks the new entries of the history.
func (l *killLog) check(clusters []string) {
	t := l.p.t
	for _, c := range l.p.history(int64(len(l.whole))) {
		if want := int64(len(l.whole)) + 1; c.Generation != want {
			t.Fatalf("got generation %d, want %d", c.Generation, want)
		}
		l.whole = append(l.whole, c)
		if c.Kind == fleet.WentLive {
			continue
		}
		if l.seen[c.Reason] {
			t.Errorf("%s is in the history twice", c.Reason)
		}
		l.seen[c.Reason] = true
		if len(c.Deltas) != 1 || !strings.Contains(string(c.Deltas[0].After.Edits[0].Patch), c.Reason) {
			t.Fatalf("generation %d is torn: %+v", c.Generation, c)
		}
		d := c.Deltas[0]
		if !reflect.DeepEqual(d.Before, l.deltas[d.Delta]) {
			t.Errorf("generation %d changes %+v, want the current value, %+v", c.Generation, d.Before, l.deltas[d.Delta])
		}
		l.deltas[d.Delta] = d.After
	}
	for value, generation := range l.acknowledged {
		if generation > int64(len(l.whole)) || l.whole[generation-1].Reason != value {
			t.Errorf("%s was acknowledged as generation %d, which is missing", value, generation)
		}
	}
	last := fmt.Sprint(len(l.whole))
	for _, cluster := range clusters {
		generation, text := l.p.poll(cluster, "apps")
		if generation != last {
			t.Errorf("a poll is of generation %s, want %s", generation, last)
		}
		l.wantServed(cluster, text)
	}
}

// wantServed checks that the inputs of a cluster contain all of its deltas.
func (l *killLog) wantServed(cluster, text string) {
	t := l.p.t
	var answer struct{ Inputs []map[string]any }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Inputs) != 1 {
		t.Fatalf("%s is served %s", cluster, text)
	}
	want := map[string]any{"id": "web", "tag": "v1", "cluster": answer.Inputs[0]["cluster"]}
	for _, id := range []string{fleet.DeltaID("group"), fleet.OwnID(cluster)} {
		if l.deltas[id] == nil {
			continue
		}
		var patch struct{ Spec map[string]any }
		if err := json.Unmarshal(l.deltas[id].Edits[0].Patch, &patch); err != nil {
			t.Fatal(err)
		}
		for key, value := range patch.Spec {
			want[key] = value
		}
	}
	if !reflect.DeepEqual(answer.Inputs[0], want) {
		t.Errorf("%s is served %v, want %v", cluster, answer.Inputs[0], want)
	}
}
