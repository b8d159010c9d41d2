package flags

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// Expiry parses the value of a flag that takes a time, or a duration from now; nil for "".
func Expiry(flag, text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		left, err := ParseDuration(text)
		if err != nil || left <= 0 {
			return nil, fmt.Errorf("--%s %q: must be a duration such as 72h or 90d, or a time such as 2026-01-02T03:04:05Z", flag, text)
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
	ago, err := ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("--%s %q: must be a time such as 2026-01-02T03:04:05Z, or how long ago, such as 24h or 7d", flag, text)
	}
	return now.Add(-ago), nil
}

// Created parses the value of --created, or else that of SOURCE_DATE_EPOCH; the zero time for none.
func Created(text string) (time.Time, error) {
	if text != "" {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return t, fmt.Errorf("--created %q: must be a time such as 2026-01-02T03:04:05Z", text)
		}
		return t, nil
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseUint(epoch, 10, 37) // 37 bits reach beyond the year 6000
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%q: must be seconds since 1970", epoch)
	}
	return time.Unix(int64(seconds), 0), nil
}
