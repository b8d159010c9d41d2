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

// reloader loads files, and loads them again when they change. It compares contents
// rather than watch the files: that notices every way in which files are replaced (in
// place, by rename, by the links of a mounted Secret) on every file system, and the files
// are small.
type reloader struct {
	name  string // for the log and the metrics
	files []string
	// use takes the contents, in the order of files. If it returns an error it keeps what
	// it had.
	use     func(contents [][]byte) error
	log     *slog.Logger
	failing prometheus.Gauge
	last    [sha256.Size]byte // of what was read last, good or not
}

func (s *Server) addReloader(name string, use func([][]byte) error, files ...string) {
	s.reloaders = append(s.reloaders, &reloader{
		name: name, files: files, use: use, log: s.log,
		failing: s.metrics.reloadFailing.WithLabelValues(name),
	})
}

// run checks the files until ctx ends. It logs a file that cannot be used once, not each
// time.
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
		err := r.load()
		switch {
		case r.last == before:
		case err != nil:
			r.log.Error("file cannot be used, its last good content is kept", "file", r.name, "err", err)
		default:
			r.log.Info("file was reloaded", "file", r.name)
		}
	}
}

// load reads the files and uses them if they have changed.
func (r *reloader) load() error {
	contents, err := readFiles(r.files)
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

func readFiles(names []string) ([][]byte, error) {
	var contents [][]byte
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		contents = append(contents, content)
	}
	return contents, nil
}
