package flags

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/pflag"
)

// Log sets the format and level of a log.
type Log struct{ format, level string }

// Bind adds the flags to f.
func (l *Log) Bind(f *pflag.FlagSet) {
	f.StringVar(&l.format, "log-format", "text", "log format: text or json")
	f.StringVar(&l.level, "log-level", "info", "log level: debug, info, warn or error")
}

// Logger returns a logger that writes to w.
func (l *Log) Logger(w io.Writer) (*slog.Logger, error) {
	var o slog.HandlerOptions
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: must be debug, info, warn or error", l.level)
	}
	o.Level = level
	switch l.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, &o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &o)), nil
	}
	return nil, fmt.Errorf("--log-format %q: must be text or json", l.format)
}
