package flags

import (
	"fmt"
	"time"
)

// Expiry parses the value of a flag that takes a time, or a duration from now; nil for "".
func Expiry(flag, text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		left, err := time.ParseDuration(text)
		if err != nil || left <= 0 {
			return nil, fmt.Errorf("--%s %q: must be a duration such as 72h, or a time such as 2026-01-02T03:04:05Z", flag, text)
		}
		at = now.Add(left).UTC().Truncate(time.Second)
	}
	return &at, nil
}

// Moment parses the value of a flag that takes a time, or how long ago it was; the zero time for
// "".
func Moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	ago, err := time.ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("--%s %q: must be a time such as 2026-01-02T03:04:05Z, or how long ago, such as 24h", flag, text)
	}
	return now.Add(-ago), nil
}
