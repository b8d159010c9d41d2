package storetest

import (
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

func snapshotComesBackAsItWas(t *testing.T, open Database) {
	s, r := open(t, time.Now), seeded(t)
	large := &fleet.Packed{Digest: digest("large"), Data: make([]byte, 16<<20)}
	for i := 0; i < len(large.Data); i += 4 {
		n := r.Uint32()
		large.Data[i], large.Data[i+1], large.Data[i+2], large.Data[i+3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
	}
	other := packed("other")
	for _, p := range []*fleet.Packed{large, other} {
		if err := s.SaveSnapshot(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	again := &fleet.Packed{Digest: other.Digest, Data: []byte("another packing")}
	if err := s.SaveSnapshot(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, time.Now)
	wantSnapshot(t, s, large)
	wantSnapshot(t, s, other)
}

func snapshotIsKeptForItsHour(t *testing.T, open Database) {
	now := noon
	s := open(t, func() time.Time { return now })
	save := func(snapshot string) {
		t.Helper()
		if err := s.SaveSnapshot(t.Context(), packed(snapshot)); err != nil {
			t.Fatal(err)
		}
	}
	prune := func() {
		t.Helper()
		if n, err := s.Prune(t.Context(), noon.AddDate(-1, 0, 0)); n != 0 || err != nil {
			t.Fatalf("Prune = %d, %v, want 0", n, err)
		}
	}
	save("old")
	save("again")
	save("live")
	l := log{*released(1, "live")}
	l.appendTo(t, s)
	now = noon.Add(time.Hour)
	prune()
	wantSnapshot(t, s, packed("old"))

	save("again")
	now = now.Add(time.Second)
	prune()
	wantNoSnapshot(t, s, digest("old"))
	wantSnapshot(t, s, packed("again")) // its hour began anew
	wantSnapshot(t, s, packed("live"))

	l = append(l, *released(2, "again"))
	l[1:].appendTo(t, s)
	now = now.Add(24 * time.Hour)
	prune()
	wantSnapshot(t, s, packed("again"))
	wantNoSnapshot(t, s, digest("live"))
	wantLog(t, s, l)
}
