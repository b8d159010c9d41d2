package oci

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestAnnotationsSayWhereAnArtifactComesFrom(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*fleet.Commit{
		"": nil, `[]`: nil, `{"org.opencontainers.image.revision": "main@sha1:1"}`: nil,
		`{"org.opencontainers.image.authors": "Ada", "org.opencontainers.image.created": "2026-03-29T12:00:00Z", "org.opencontainers.image.title": "Drop db", "Tributary-Approve": "sha256:1"}`: {
			Author: "Ada", At: time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC), Subject: "Drop db", Approves: []string{"sha256:1"},
		},
		`{"Tributary-Approve": "sha256:2"}`: {Approves: []string{"sha256:2"}},
	} {
		if got := describe(json.RawMessage(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("describe(%s) = %+v, want %+v", text, got, want)
		}
	}
}
