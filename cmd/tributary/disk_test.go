package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tributary-gitops/tributary/server/api"
)

// TestFullDiskRejectsOnlyWrites fills the disk of the change log. Writes are rejected and
// change nothing, and polls are answered as before. When there is room again, writes work
// without a restart.
func TestFullDiskRejectsOnlyWrites(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "2m")
	p := newProcess(t, writeFleet(t, "one"), "--store", "sqlite:"+filepath.Join(disk, "tributary.db"))
	write := func(n int) (int, []byte) {
		body := fmt.Sprintf(`{"spec": {"n": %d, "ballast": %q}}`, n, strings.Repeat("there is no room ", 1000))
		status, _, text := p.try(http.MethodPatch, "/api/v1/clusters/one/objects/App/web", body, "Content-Type", "application/merge-patch+json")
		return status, text
	}
	if status, text := write(0); status != http.StatusOK {
		t.Fatalf("a write while there is room = %d %s", status, text)
	}
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	kept := 1
	status, text := write(kept)
	for ; status == http.StatusOK; status, text = write(kept) {
		kept++
	}
	generation, served := p.poll("one", "apps")
	if want := fmt.Sprint(kept + 1); generation != want {
		t.Errorf("polls are of generation %s, want %s", generation, want)
	}
	for range 5 {
		var problem api.Problem
		if err := json.Unmarshal(text, &problem); err != nil || status != http.StatusInsufficientStorage || problem.Type != api.ProblemType+"store-full" {
			t.Errorf("a write on a full disk = %d %s, want 507 store-full", status, text)
		}
		if g, now := p.poll("one", "apps"); g != generation || now != served {
			t.Errorf("a poll on a full disk is\n%s %s\nwant\n%s %s", g, now, generation, served)
		}
		if status, _, text := p.try(http.MethodGet, "/readyz", ""); status != http.StatusOK {
			t.Errorf("readyz on a full disk = %d %s", status, text)
		}
		status, text = write(-1)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if status, text := write(-2); status != http.StatusOK {
		t.Fatalf("a write once there is room = %d %s, want 200", status, text)
	}
	wantLast := func(when string) {
		if g, now := p.poll("one", "apps"); g != fmt.Sprint(kept+2) || !strings.Contains(now, `"n":-2,`) {
			t.Errorf("%s a poll is %s %.300s, want generation %d", when, g, now, kept+2)
		}
		if got := len(p.history(0)); got != kept+2 {
			t.Errorf("%s the history has %d entries, want %d", when, got, kept+2)
		}
	}
	wantLast("once there is room")
	p.kill()
	p.start()
	wantLast("after a restart")
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// smallDisk mounts a file system with a size limit.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a small tmpfs, which requires root: run it as root, for example in a container")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}
