package sqlstore_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

func TestSQLiteGoesOnAfterFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "2m")
	fullDisk(t, "sqlite:"+filepath.Join(disk, "tributary.db"), disk)
}

func TestPostgresGoesOnAfterFullDisk(t *testing.T) {
	t.Parallel()
	server, disk := pgtest.Start(t), smallDisk(t, "16m")
	server.Own(t, disk)
	server.Run(t, server.URL("postgres"), fmt.Sprintf("CREATE TABLESPACE small LOCATION '%s'", disk))
	url := server.Database(t, "--tablespace", "small")
	// The server must stop before the disk is unmounted.
	t.Cleanup(func() { server.Stop(t) })
	fullDisk(t, url, disk)
}

// fullDisk fills the disk, appends until there is no space left, and makes space again.
func fullDisk(t *testing.T, url, disk string) {
	s := open(t, url)
	appendOne := func(reason string) error {
		state, err := s.Load(t.Context())
		if err != nil {
			t.Fatalf("Load on a full disk: %v", err)
		}
		c := changeAfter(state)
		c.Reason = reason
		return s.Append(t.Context(), c)
	}
	if err := appendOne("there is space"); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(disk, "ballast")
	if err := fill(ballast); err != nil {
		t.Fatal(err)
	}
	kept := int64(1)
	var err error
	for ; err == nil; kept++ {
		err = appendOne(strings.Repeat("there is no space ", 1000))
	}
	kept -= 1
	for range 3 {
		if !errors.Is(err, fleet.ErrStoreFull) || !errors.Is(err, fleet.ErrStore) {
			t.Fatalf("Append on a full disk: error %v, want %v", err, fleet.ErrStoreFull)
		}
		err = s.SaveSnapshot(t.Context(), &fleet.Packed{Digest: "sha256:large", Data: make([]byte, 1<<20)})
	}
	if _, err := s.Generation(t.Context()); err != nil {
		t.Errorf("Generation on a full disk: %v", err)
	}
	state, err := s.Load(t.Context())
	if err != nil || state.Generation != kept {
		t.Fatalf("Load on a full disk = %+v, %v, want generation %d", state, err, kept)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := appendOne("there is space again"); err != nil {
		t.Fatal(err)
	}
	changes, err := s.Changes(t.Context(), fleet.ChangeQuery{Limit: int(kept) + 2})
	if err != nil || int64(len(changes)) != kept+1 || changes[0].Reason != "there is space again" {
		t.Errorf("the log has %d entries, want %d (%v)", len(changes), kept+1, err)
	}
}

// fill writes a file until the disk is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	return nil
}

// smallDisk mounts a file system of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a small tmpfs to fill it, which only root may do: run it as root, for example in a container")
	}
	dir, err := os.MkdirTemp("", "small") // other users cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
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

func TestPostgresIsUnavailableUntilItIsBack(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	url := server.Database(t)
	s := open(t, url)
	if err := s.Append(t.Context(), changeAfter(&fleet.LogState{})); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		server.Stop(t)
		for range 2 {
			_, err := s.Load(t.Context())
			if !errors.Is(err, fleet.ErrStore) || errors.Is(err, fleet.ErrStoreFull) {
				t.Errorf("Load without a server: error %v, want %v", err, fleet.ErrStore)
			}
			if _, err := s.Generation(t.Context()); !errors.Is(err, fleet.ErrStore) {
				t.Errorf("Generation without a server: error %v, want %v", err, fleet.ErrStore)
			}
		}
		if _, err := sqlstore.Open(t.Context(), url); !errors.Is(err, fleet.ErrStore) {
			t.Errorf("Open without a server: error %v, want %v", err, fleet.ErrStore)
		}
		server.Resume(t)
		state, err := s.Load(t.Context())
		if err != nil {
			t.Fatalf("Load when the server is back: %v", err)
		}
		if err := s.Append(t.Context(), changeAfter(state)); err != nil {
			t.Fatalf("Append when the server is back: %v", err)
		}
	}
}

func TestPostgresThatLosesOrGarblesIsRefused(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	for url, want := range map[string]string{
		server.Database(t) + "&synchronous_commit=off":                                         "synchronous_commit is off",
		server.Database(t, "--template", "template0", "--encoding", "LATIN1", "--locale", "C"): "must be UTF8",
	} {
		_, err := sqlstore.Open(t.Context(), url)
		if !errors.Is(err, fleet.ErrStore) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open: error %v, want %v that says %q", err, fleet.ErrStore, want)
		}
	}
}
