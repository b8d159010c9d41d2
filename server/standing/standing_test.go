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
		if got := contactOf(c.polls, isServed, nil, now); got != c.want {
			t.Errorf("%s: contact = %q, want %q", name, got, c.want)
		}
	}
}

func TestLatenessRespectsTheProvider(t *testing.T) {
	t.Parallel()
	office, err := fleet.NewSchedule("0 8 * * 1-5", "Europe/Berlin", 10*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	daily, err := fleet.NewSchedule("30 4 * * *", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		when, err := time.Parse("Mon 2006-01-02 15:04 -0700", text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for name, c := range map[string]struct {
		rule       fleet.ProviderRule
		last, late string
		every      time.Duration
	}{
		"interval of the provider, after one poll": {fleet.ProviderRule{Every: time.Hour}, "Mon 2026-01-05 12:00 +0100", "Mon 2026-01-05 15:00 +0100", 0},
		"usual interval is longer":                 {fleet.ProviderRule{Every: time.Minute}, "Mon 2026-01-05 12:00 +0100", "Mon 2026-01-05 15:00 +0100", time.Hour},
		"within office hours":                      {fleet.ProviderRule{Schedule: []fleet.Schedule{office}}, "Mon 2026-01-05 12:00 +0100", "Mon 2026-01-05 12:30 +0100", 0},
		"over a weekend":                           {fleet.ProviderRule{Every: 5 * time.Minute, Schedule: []fleet.Schedule{office}}, "Fri 2026-01-09 17:52 +0100", "Mon 2026-01-12 08:10 +0100", 5 * time.Minute},
		"once a day, without a window":             {fleet.ProviderRule{Schedule: []fleet.Schedule{daily}}, "Mon 2026-01-05 04:30 +0000", "Thu 2026-01-08 04:30 +0000", time.Hour},
		"once a day and in office hours":           {fleet.ProviderRule{Schedule: []fleet.Schedule{daily, office}}, "Fri 2026-01-09 17:52 +0100", "Mon 2026-01-12 04:30 +0000", 5 * time.Minute},
	} {
		poll := []fleet.Poll{{Set: "apps", At: at(c.last), Every: c.every}}
		isServed := func(string) bool { return true }
		if got := contactOf(poll, isServed, &c.rule, at(c.late)); got != api.ContactOK {
			t.Errorf("%s: contact at %s is %s, want ok", name, c.late, got)
		}
		if got := contactOf(poll, isServed, &c.rule, at(c.late).Add(time.Second)); got != api.ContactLate {
			t.Errorf("%s: contact after %s is %s, want late", name, c.late, got)
		}
	}
}
