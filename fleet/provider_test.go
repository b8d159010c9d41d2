package fleet_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestScheduleOfAProviderIsChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cron, zone string
		window     time.Duration
		want       string
	}{
		{"0 8 * * 1-5", "Europe/Berlin", 0, ""},
		{"@daily", "", 10 * time.Minute, ""},
		{"0 8 * *", "", 0, "five fields"},
		{"0 8 * * *", "Europe/Nowhere", 0, "time zone"},
		{"0 8 * * *", "", time.Minute, "window"},
	} {
		_, err := fleet.NewSchedule(c.cron, c.zone, c.window)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("NewSchedule(%q, %q, %s) = %v, want %q", c.cron, c.zone, c.window, err, c.want)
		}
	}
}
