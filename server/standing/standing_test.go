package standing

import (
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

func TestContactFollowsTheClustersPollInterval(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	poll := func(set string, ago, every time.Duration) fleet.Poll {
		return fleet.Poll{Set: set, At: now.Add(-ago), Every: every}
	}
	for name, c := range map[string]struct {
		polls []fleet.Poll
		want  api.Contact
	}{
		"none":                           {nil, api.ContactNever},
		"of a set that there was":        {[]fleet.Poll{poll("gone", time.Hour, time.Minute)}, api.ContactNever},
		"within three":                   {[]fleet.Poll{poll("apps", 29*time.Minute, 10*time.Minute)}, api.ContactOK},
		"more than three ago":            {[]fleet.Poll{poll("apps", 31*time.Minute, 10*time.Minute)}, api.ContactLate},
		"often, and not for a minute":    {[]fleet.Poll{poll("apps", 59*time.Second, time.Second)}, api.ContactOK},
		"often, and not any more":        {[]fleet.Poll{poll("apps", 61*time.Second, time.Second)}, api.ContactLate},
		"one, of no rhythm":              {[]fleet.Poll{poll("apps", 59*time.Minute, 0)}, api.ContactOK},
		"one, long ago":                  {[]fleet.Poll{poll("apps", 61*time.Minute, 0)}, api.ContactLate},
		"one of two sets has stopped":    {[]fleet.Poll{poll("apps", time.Hour, time.Minute), poll("users", time.Minute, time.Minute)}, api.ContactLate},
		"by hand":                        {[]fleet.Poll{{Set: "apps", At: now, By: "ada"}}, api.ContactNever},
		"by hand since it has stopped":   {[]fleet.Poll{poll("apps", time.Hour, time.Minute), {Set: "apps", At: now, By: "ada"}}, api.ContactLate},
		"by a clock that is ahead of it": {[]fleet.Poll{poll("apps", -time.Hour, time.Minute)}, api.ContactOK},
	} {
		isServed := func(set string) bool { return set == "apps" || set == "users" }
		if got := contactOf(c.polls, isServed, now); got != c.want {
			t.Errorf("%s: contact = %q, want %q", name, got, c.want)
		}
	}
}
