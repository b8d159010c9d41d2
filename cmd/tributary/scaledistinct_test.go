package main

import (
	"crypto/sha256"
	"encoding/json"
	"testing"
)

// distinct returns the size of the data that a fleet needs at least: each distinct input
// without its cluster field, and the cluster field once for each cluster.
type distinct struct {
	b     testing.TB
	seen  map[[sha256.Size]byte]bool
	bytes int
}

func (d *distinct) add(_, _ string, answer []byte) {
	d.b.Helper()
	var set struct{ Inputs []map[string]json.RawMessage }
	if err := json.Unmarshal(answer, &set); err != nil || len(set.Inputs) == 0 {
		d.b.Fatalf("an answer of %d inputs: %v", len(set.Inputs), err)
	}
	for _, input := range set.Inputs {
		d.once(input["cluster"])
		delete(input, "cluster")
		text, err := json.Marshal(input)
		if err != nil {
			d.b.Fatal(err)
		}
		d.once(text)
	}
}

func (d *distinct) once(text []byte) {
	if sum := sha256.Sum256(text); !d.seen[sum] {
		d.seen[sum] = true
		d.bytes += len(text)
	}
}
