package fleet_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestBodyIsPackedOnce holds that all who poll at once get the same compressed bytes,
// and that nobody after them has them made again.
func TestBodyIsPackedOnce(t *testing.T) {
	text := []byte(`{"inputs":[` + strings.Repeat("1,", 5_000) + `1]}`)
	body := fleet.NewBody(text)
	packed := make([][]byte, 8)
	var group sync.WaitGroup
	for i := range packed {
		group.Go(func() { packed[i] = body.Gzip() })
	}
	group.Wait()
	for i := range packed {
		if &packed[i][0] != &packed[0][0] {
			t.Error("two polls got bytes that were packed apart")
		}
	}
	r, err := gzip.NewReader(bytes.NewReader(packed[0]))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
		t.Errorf("Gzip() unpacks to %q, %v", got, err)
	}
	if n := testing.AllocsPerRun(100, func() { body.Gzip() }); n != 0 {
		t.Errorf("a later poll allocates %v times", n)
	}
}
