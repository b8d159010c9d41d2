package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloader has files read anew when they change, while the server runs. It
// compares what is in them rather than watching: that notices every way in which
// files are replaced (in place, by rename, by the links of a mounted Secret) on
// every file system, and they are small.
type reloader struct {
	what  string // for the log
	files []string
	// use takes the contents, in the order of files, or returns why it keeps
	// what it had.
	use     func(contents [][]byte) error
	log     *slog.Logger
	failing prometheus.Gauge
	last    [sha256.Size]byte // of what was read last, be it good or not
}

func (s *Server) newReloader(what string, use func([][]byte) error, files ...string) *reloader {
	return &reloader{
		what: what, files: files, use: use, log: s.log,
		failing: s.metrics.reloadFailing.WithLabelValues(what),
	}
}

// run looks until ctx ends. What cannot be used is logged once, not at each look.
func (r *reloader) run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		before := r.last
		err := r.look()
		switch {
		case r.last == before:
		case err != nil:
			r.log.Error("file cannot be used, what was read before is kept", "file", r.what, "err", err)
		default:
			r.log.Info("file was read anew", "file", r.what)
		}
	}
}

// look reads the files and has them used if they differ from the last time.
func (r *reloader) look() error {
	contents, err := read(r.files)
	sum := sha256.New()
	if err != nil {
		sum.Write([]byte(err.Error()))
	}
	for _, content := range contents {
		digest := sha256.Sum256(content)
		sum.Write(digest[:])
	}
	if last := sum.Sum(nil); !bytes.Equal(last, r.last[:]) {
		copy(r.last[:], last)
		if err == nil {
			err = r.use(contents)
		}
		r.failing.Set(0)
		if err != nil {
			r.failing.Set(1)
		}
	}
	return err
}

func read(files []string) ([][]byte, error) {
	var contents [][]byte
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		contents = append(contents, content)
	}
	return contents, nil
}
