package main

import (
	"crypto/sha256"
	"path/filepath"
	"testing"

	"github.com/tributary-gitops/tributary/cmd/fleetgen/synthetic"
)

// BenchmarkMemory measures the memory of a server that has answered every poll of every
// cluster of the default fleet after a commit that changed them all, and compares it with
// the size of the distinct inputs. A fleet of twice the size shows what each further
// cluster adds.
func BenchmarkMemory(b *testing.B) {
	options := synthetic.Default()
	needed := &distinct{b: b, seen: map[[sha256.Size]byte]bool{}}
	one := memoryOf(b, newOrigin(b, options), needed)
	options.Clusters *= 2
	two := memoryOf(b, newOrigin(b, options), nil)
	b.ReportMetric(0, "ns/op") // dominated by the setup
	b.ReportMetric(one.now/1e6, "MB")
	b.ReportMetric(one.peak/1e6, "peak-MB")
	b.ReportMetric(float64(needed.bytes)/1e6, "distinct-MB")
	b.ReportMetric(one.now/float64(needed.bytes), "ratio")
	b.ReportMetric((two.now-one.now)/float64(options.Clusters/2)/1e3, "KB/cluster")
}

type memory struct{ now, peak float64 }

func memoryOf(b testing.TB, o *origin, needed *distinct) memory {
	b.Helper()
	s := newServing(b, o, "sqlite:"+filepath.Join(b.TempDir(), "tributary.db"))
	defer s.kill()
	s.pollAll(nil)
	s.commitBase()
	if needed == nil {
		s.pollAll(nil)
	} else {
		s.pollAll(needed.add)
	}
	now, peak := s.resident()
	return memory{now, peak}
}
