package server_test

import (
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server"
)

func TestContactIsToldByTheClustersOwnRhythm(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	poll := func(set string, ago, every time.Duration) fleet.Poll {
		return fleet.Poll{Set: set, At: now.Add(-ago), Every: every}
	}
	for name, c := range map[string]struct {
		polls []fleet.Poll
		want  server.Contact
	}{
		"none":                           {nil, server.Never},
		"of a set that there was":        {[]fleet.Poll{poll("gone", time.Hour, time.Minute)}, server.Never},
		"within three":                   {[]fleet.Poll{poll("apps", 29*time.Minute, 10*time.Minute)}, server.OnTime},
		"more than three ago":            {[]fleet.Poll{poll("apps", 31*time.Minute, 10*time.Minute)}, server.Late},
		"often, and not for a minute":    {[]fleet.Poll{poll("apps", 59*time.Second, time.Second)}, server.OnTime},
		"often, and not any more":        {[]fleet.Poll{poll("apps", 61*time.Second, time.Second)}, server.Late},
		"one, of no rhythm":              {[]fleet.Poll{poll("apps", 59*time.Minute, 0)}, server.OnTime},
		"one, long ago":                  {[]fleet.Poll{poll("apps", 61*time.Minute, 0)}, server.Late},
		"one of two sets has stopped":    {[]fleet.Poll{poll("apps", time.Hour, time.Minute), poll("users", time.Minute, time.Minute)}, server.Late},
		"by a clock that is ahead of it": {[]fleet.Poll{poll("apps", -time.Hour, time.Minute)}, server.OnTime},
	} {
		if got := server.ContactOf(c.polls, map[string]int{"apps": 1, "users": 0}, now); got != c.want {
			t.Errorf("%s: contact = %q, want %q", name, got, c.want)
		}
	}
}
