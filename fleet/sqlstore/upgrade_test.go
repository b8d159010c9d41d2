package sqlstore

import (
	"database/sql"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// before0003 is a log as a Tributary made it that knew no list of releases: main@1
// went live, was frozen for one cluster by main@2, and went live again at last.
var before0003 = []string{
	`INSERT INTO snapshots VALUES ('sha256:1', 0, 'tree'), ('sha256:2', 0, 'tree')`,
	`INSERT INTO changes VALUES
		(1, 1000000, 'release', 'tributary', '', 'main@1', 'sha256:1', 3),
		(2, 2000000, 'release', 'tributary', '', 'main@2', 'sha256:2', 2),
		(3, 3000000, 'write', 'ada', '', NULL, NULL, NULL),
		(4, 4000000, 'release', 'tributary', '', 'main@1', 'sha256:1', 3)`,
	`INSERT INTO record_changes VALUES
		(2, 'eu-01', NULL, '{"cluster":"eu-01","orphaned":{"since":2,"wentLive":1,"release":{"revision":"main@1","snapshot":"sha256:1","clusters":3}}}')`,
	`INSERT INTO records VALUES ('eu-01', 2, 'sha256:1')`,
	`INSERT INTO polls VALUES ('eu-01', 'apps', 5000000, 4, 'flux-operator/v0.58.1')`,
	`UPDATE head SET generation = 4, live = 4, snapshot = 'sha256:1'`,
}

func openBefore0003(t *testing.T, url string) *Store {
	t.Helper()
	opener, err := dialectOf(url)
	if err != nil {
		t.Fatal(err)
	}
	d, writer, reader, err := opener(url)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	upTo(t, writer, d, 2)
	for _, text := range before0003 {
		if _, err := writer.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func upTo(t *testing.T, db *sql.DB, d *dialect, version int64) {
	t.Helper()
	p, err := newProvider(db, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
}

func TestReleasesOfAnOlderLogAreListed(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		s := openBefore0003(t, url)
		state, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		one := fleet.LiveRelease{Revision: "main@1"}.ID()
		if len(state.Releases) != 1 || state.Releases[0].ID != one || state.Live == nil || state.Lineup == nil {
			t.Errorf("Load has releases %+v, live %v and lineup %v, want main@1 and an empty lineup", state.Releases, state.Live, state.Lineup)
		}
		all, err := s.Releases(t.Context(), fleet.ReleaseQuery{})
		if err != nil || len(all) != 2 {
			t.Fatalf("Releases = %+v, %v, want 2", all, err)
		}
		wantListed(t, all[0], fleet.Release{ID: one, Revision: "main@1", Digest: "sha256:1", State: fleet.Live, Generation: 4, At: time.Unix(4, 0), Clusters: 3})
		wantListed(t, all[1], fleet.Release{ID: fleet.LiveRelease{Revision: "main@2"}.ID(), Revision: "main@2", Digest: "sha256:2", State: fleet.Superseded, Generation: 4, At: time.Unix(4, 0), Clusters: 2})
		if n, err := s.Prune(t.Context(), time.Now()); n != 2 || err != nil {
			t.Errorf("Prune = %d, %v, want the entries that nothing needs: 2", n, err)
		}
		for _, digest := range []string{"sha256:1", "sha256:2"} { // one may go back to the second
			if _, err := s.Snapshot(t.Context(), digest); err != nil {
				t.Error(err)
			}
		}
		polls, err := s.Polls(t.Context(), []string{"eu-01"})
		if err != nil || len(polls) != 1 || polls[0].Release != "" || polls[0].Every != 0 {
			t.Errorf("Polls = %+v, %v, want the one of before, of which no more is known", polls, err)
		}
		var release string
		if err := s.reader.QueryRow(`SELECT release FROM records`).Scan(&release); err != nil || release != one {
			t.Errorf("the record stays on release %q, %v, want %q", release, err, one)
		}
	})
}

func wantListed(t *testing.T, got, want fleet.Release) {
	t.Helper()
	if got.ID != want.ID || got.Revision != want.Revision || got.Digest != want.Digest || got.State != want.State ||
		got.Generation != want.Generation || !got.At.Equal(want.At) || got.Clusters != want.Clusters {
		t.Errorf("listed is %+v, want %+v", got, want)
	}
}
