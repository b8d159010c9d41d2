package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

func TestChangeShowsRecordsAndAssignmentsTogether(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	old := fleet.ReleaseRef{Revision: "main@sha1:1", Snapshot: "sha256:1"}
	row := func(cluster string, reason fleet.Reason) *fleet.Assignment {
		return &fleet.Assignment{Cluster: cluster, Release: old, Reason: reason, Detail: "a fault", Since: 7}
	}
	declared := &fleet.ClusterRecord{Cluster: "declared", Since: 3, Declared: &fleet.Declaration{Labels: map[string]string{"a": "b"}}}
	gone := &fleet.ClusterRecord{Cluster: "gone", Decommissioned: &fleet.Tombstone{Generation: 8, At: at, Sets: []string{"apps"}, Row: row("gone", fleet.ReasonOrphaned)}}
	spec := row("unread", fleet.ReasonOrphaned)
	spec.Spec = &fleet.ClusterSpec{File: "clusters/unread.yaml", DNS: "unread.example.com"}
	c := &fleet.Change{
		Generation: 8, At: at, Kind: fleet.WentLive, Actor: fleet.SourceActor, Reason: "why", Holder: "me",
		Records: []fleet.RecordChange{{Cluster: "declared", After: declared}, {Cluster: "gone", After: gone}},
		Assignments: []fleet.AssignmentChange{
			{Cluster: "declared", After: row("declared", fleet.ReasonFailing)},
			{Cluster: "gone", Before: row("gone", fleet.ReasonOrphaned)},
			{Cluster: "pinned", Before: row("pinned", fleet.ReasonRollout), After: row("pinned", fleet.ReasonPinned)},
			{Cluster: "superseded", Before: row("superseded", fleet.ReasonSuperseded), After: row("superseded", fleet.ReasonRollout)},
			{Cluster: "unread", After: spec},
		},
		Release: &fleet.ReleaseEvent{Ref: fleet.ReleaseRef{Revision: "main@sha1:2", Snapshot: "sha256:2"}, Clusters: 5, To: fleet.Live},
	}
	const release = `"release":{"revision":"main@sha1:1","snapshot":"sha256:1"}`
	want := `{"generation":8,"at":"2026-01-02T03:04:05Z","kind":"release","actor":"source","reason":"why","records":[` +
		`{"cluster":"declared","after":{"cluster":"declared","since":3,"declared":{"labels":{"a":"b"}},"stays":{"since":7,` + release + `,"why":"a fault"}}},` +
		`{"cluster":"gone","before":{"cluster":"gone","orphaned":{"since":7,` + release + `}},` +
		`"after":{"cluster":"gone","decommissioned":{"generation":8,"at":"2026-01-02T03:04:05Z","sets":["apps"]}}},` +
		`{"cluster":"superseded","before":{"cluster":"superseded","stays":{"since":7,` + release + `,"wave":true,"why":"a newer release took over its rollout"}}},` +
		`{"cluster":"unread","after":{"cluster":"unread","orphaned":{"since":7,` + release + `,"dns":"unread.example.com","file":{"file":"clusters/unread.yaml","dns":"unread.example.com"}}}}],` +
		`"release":{"revision":"main@sha1:2","snapshot":"sha256:2","clusters":5}}`
	got, err := json.Marshal(api.NewChange(c))
	if err != nil || string(got) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
	}
}

func TestReleaseThatRollsOutIsShownAsLive(t *testing.T) {
	t.Parallel()
	r := fleet.Release{State: fleet.RollingOut, Rollout: &fleet.RolloutStatus{Phase: fleet.Waiting}}
	if shown := api.NewRelease(r, nil); shown.State != fleet.Live || shown.Rollout != r.Rollout {
		t.Errorf("shown as %+v", shown)
	}
	if shown := api.NewRelease(fleet.Release{State: fleet.Held}, nil); shown.State != fleet.Held {
		t.Errorf("shown as %+v", shown)
	}
}
