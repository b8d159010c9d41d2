package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/render/hostiletest"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/sources/archive"
)

// TestHostileTreesDoNotKeepOthersWaiting commits hostile trees to the source of a server, one after the
// other, and previews others, while clusters poll and somebody writes. Every poll is answered with what
// was live before, every write is kept, and a good commit at the end goes live.
func TestHostileTreesDoNotKeepOthersWaiting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := filepath.Join(dir, "fleet")
	replace(t, source, hostiletest.Small())
	p := newProcess(t, source, "--store", "sqlite:"+filepath.Join(dir, "tributary.db"), "--interval", "100ms", "--poll-rate", "0", "--request-rate", "0")
	var hostile []hostiletest.Tree
	for _, tree := range hostiletest.Trees(28) {
		if !tree.Valid {
			hostile = append(hostile, tree)
		}
	}
	if testing.Short() {
		hostile = hostile[:len(hostile)/4]
	}
	calm := sendFor(t, p, func() { time.Sleep(time.Second) })
	last := ""
	busy := sendFor(t, p, func() {
		for i, tree := range hostile {
			replace(t, source, tree.Files)
			previewed := hostile[(i+1)%len(hostile)]
			if status, _, text := p.try(http.MethodPost, "/api/v1/preview?revision=hostile", string(packed(t, previewed.Files)), "Content-Type", api.SnapshotType); status != http.StatusOK && status != http.StatusUnprocessableEntity {
				t.Errorf("preview of %s = %d %.300s", previewed.Name, status, text)
			}
			last = awaitFailed(t, p, tree.Name, last)
		}
	})
	for _, method := range []string{http.MethodGet, http.MethodPatch} {
		b, c := busy[method], calm[method]
		t.Logf("%s: %d, median %s, p99 %s, slowest %s; before, median %s, p99 %s", method, len(b), b[len(b)/2], b[len(b)*99/100], b[len(b)-1], c[len(c)/2], c[len(c)*99/100])
	}

	good := hostiletest.Small()
	good["base/all.yaml"].Data = bytes.ReplaceAll(good["base/all.yaml"].Data, []byte("{a: b}"), []byte("{a: good}"))
	replace(t, source, good)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, _, text := p.try(http.MethodGet, "/api/v1/flux/clusters/one/apps", ""); strings.Contains(string(text), `"good"`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the good commit does not go live")
		}
	}
}

// sendFor sends polls and writes while something happens, and returns how long each took by
// method, sorted.
func sendFor(t *testing.T, p *process, happens func()) map[string][]time.Duration {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	took := map[string][]time.Duration{}
	stop := make(chan bool)
	send := func(method, path, body string) {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			begun := time.Now()
			status, _, text := p.try(method, path, strings.ReplaceAll(body, "COUNT", fmt.Sprint(i)), "Content-Type", api.MergePatchType)
			if status != http.StatusOK || method == http.MethodGet && !strings.Contains(string(text), `"a0"`) {
				t.Errorf("%s %s = %d %.300s", method, path, status, text)
			}
			mu.Lock()
			took[method] = append(took[method], time.Since(begun))
			mu.Unlock()
		}
	}
	all.Go(func() { send(http.MethodGet, "/api/v1/flux/clusters/one/apps", "") })
	all.Go(func() { send(http.MethodPatch, "/api/v1/clusters/one/objects/App/a1", `{"spec": {"count": COUNT}}`) })
	happens()
	close(stop)
	all.Wait()
	for _, all := range took {
		slices.Sort(all)
	}
	return took
}

// awaitFailed waits until the newest release is another one than before, and has failed. It returns its
// ID.
func awaitFailed(t *testing.T, p *process, name, before string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_, _, text := p.try(http.MethodGet, "/api/v1/releases?limit=1", "")
		var newest struct{ Items []struct{ ID, State string } }
		if json.Unmarshal(text, &newest) == nil && len(newest.Items) > 0 && newest.Items[0].State == "failed" && newest.Items[0].ID != before {
			return newest.Items[0].ID
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not fail: %.500s", name, text)
		}
	}
}

// replace replaces all files of a directory.
func replace(t *testing.T, dir string, files fstest.MapFS) {
	t.Helper()
	next := dir + ".next"
	if err := os.RemoveAll(next); err != nil {
		t.Fatal(err)
	}
	for name, file := range files {
		path := filepath.Join(next, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, dir); err != nil {
		t.Fatal(err)
	}
}

func packed(t *testing.T, tree fs.FS) []byte {
	t.Helper()
	text, err := archive.PackUpload(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
