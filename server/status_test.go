package server_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

func (h *harness) status() (s api.Status) {
	h.t.Helper()
	h.get("/api/v1/status").wantOK(h.t, &s)
	return s
}

func TestStatusAndMetricsSayWhoIsLate(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	total := h.status().Clusters.Total
	poll := func() {
		h.wantStatus("a poll", h.get("/api/v1/flux/clusters/one/apps", "User-Agent", "flux-operator/v0.58.1"), http.StatusOK)
	}
	poll()
	h.wantStatus("a poll by hand", h.get("/api/v1/flux/clusters/one/namespaces", "User-Agent", "curl/8"), http.StatusOK)
	if s := h.status(); s.Clusters.Late != 0 || s.Clusters.NeverPolled != total-1 || len(s.Attention) > 0 || s.Live == nil {
		t.Errorf("status = %+v, want nobody late and one cluster that has polled", s)
	}
	h.clock.advance(time.Hour + time.Minute)
	if s := h.status(); s.Clusters.Late != 1 || !slices.Equal(s.Attention, []api.Attention{api.AttentionLate}) {
		t.Errorf("status after an hour = %+v, want one cluster late", s)
	}
	for line, want := range map[string]string{
		"tributary_clusters_late":                       "1",
		"tributary_clusters_failing":                    "0",
		`tributary_poll_age_seconds_bucket{le="3600"}`:  "0",
		`tributary_poll_age_seconds_bucket{le="10800"}`: "1",
		`tributary_poll_age_seconds_bucket{le="+Inf"}`:  "1",
		"tributary_poll_age_seconds_count":              "1",
	} {
		if got := h.metric(line); got != want {
			t.Errorf("%s = %q, want %s", line, got, want)
		}
	}
	var late api.List[api.Cluster]
	h.get("/api/v1/clusters?late=true").wantOK(t, &late)
	if len(late.Items) != 1 || late.Items[0].Name != "one" {
		t.Errorf("late clusters are %+v, want one", late.Items)
	}
	h.get("/api/v1/clusters?late=perhaps").problem(t, http.StatusBadRequest, "bad-request")
}

func TestStatusIsAnsweredBeforeARelease(t *testing.T) {
	t.Parallel()
	h := start(t)
	if s := h.status(); s.Live != nil || !slices.Contains(s.Attention, api.AttentionNotReady) {
		t.Errorf("status = %+v, want not-ready", s)
	}
}
