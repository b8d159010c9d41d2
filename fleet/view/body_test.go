package view_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// TestAnswerIsItsText holds that an answer which is kept as its inputs is, in every form,
// the one that is kept as text.
func TestAnswerIsItsText(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		var inputs []*fleet.Input
		identity := fmt.Appendf(nil, `{"name":"c%d"}`, n)
		text := []byte(`{"inputs":[`)
		for i := range n {
			in := &fleet.Input{ID: fmt.Sprint(i), Tail: fmt.Appendf(nil, `"id":"%d"`, i)}
			if random.IntN(2) == 0 {
				in.Head = fmt.Appendf(nil, `"a":%q`, strings.Repeat("x", random.IntN(2_000)))
			}
			if inputs = append(inputs, in); i > 0 {
				text = append(text, ',')
			}
			text = in.AppendTo(text, identity)
		}
		text = append(text, "]}"...)
		lazy, eager := view.NewBody(fleet.NewAnswer(inputs, identity)), view.TextBody(text)
		if n%2 == 0 {
			lazy.Gzip() // in whichever order they are asked for
		}
		if !bytes.Equal(lazy.JSON(), text) || lazy.Size() != len(text) || lazy.ETag() != eager.ETag() || lazy.GzipETag() != eager.GzipETag() {
			t.Fatalf("answer of %d inputs is %s (%d bytes, %s), want %s (%d, %s)", n, lazy.JSON(), lazy.Size(), lazy.ETag(), text, len(text), eager.ETag())
		}
		if got := unpacked(t, lazy.Gzip()); !bytes.Equal(got, text) || !bytes.Equal(lazy.Gzip(), eager.Gzip()) {
			t.Fatalf("answer of %d inputs unpacks to %s, want %s", n, got, text)
		}
	}
}

func unpacked(t *testing.T, packed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestBodyIsPackedOnce holds that all who poll at once get the same compressed bytes,
// and that nobody after them has them made again.
func TestBodyIsPackedOnce(t *testing.T) {
	text := []byte(`{"inputs":[` + strings.Repeat("1,", 5_000) + `1]}`)
	body := view.TextBody(text)
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
	if got := unpacked(t, packed[0]); !bytes.Equal(got, text) {
		t.Errorf("Gzip() unpacks to %q", got)
	}
	if n := testing.AllocsPerRun(100, func() { body.Gzip() }); n != 0 {
		t.Errorf("a later poll allocates %v times", n)
	}
}
