package flags

import (
	"errors"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/pflag"
)

// Duration returns the value of a flag that takes a duration, such as 1h30m, 90d or 2w.
func Duration(into *time.Duration, byDefault time.Duration) pflag.Value {
	*into = byDefault
	return (*duration)(into)
}

type duration time.Duration

func (*duration) Type() string     { return "duration" }
func (d *duration) String() string { return DurationText(time.Duration(*d)) }

func (d *duration) Set(text string) error {
	parsed, err := ParseDuration(text)
	if err == nil {
		*d = duration(parsed)
	}
	return err
}

// ParseDuration parses a duration, in which d, w and y stand for 24 hours, 7 days and 365 days.
func ParseDuration(text string) (time.Duration, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, errors.New("must be a duration such as 30m, 72h or 90d")
	}
	return time.Duration(d), nil
}

// DurationText returns a duration as ParseDuration reads it: 90d rather than 2160h0m0s.
func DurationText(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d%time.Millisecond != 0 || d < 0:
		return d.String()
	}
	return model.Duration(d).String()
}
