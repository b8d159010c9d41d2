package git

import (
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/sources/internal/message"
)

func TestHeadBufferKeepsOnlyTheBeginning(t *testing.T) {
	t.Parallel()
	var h headBuffer
	for range 1000 {
		if n, err := h.Write([]byte(strings.Repeat("x", 1000))); n != 1000 || err != nil {
			t.Fatalf("Write = %d, %v, want 1000", n, err)
		}
	}
	if got := h.String(); got != strings.Repeat("x", message.MaxForeign) || cap(h.text) > 10*message.MaxForeign {
		t.Errorf("kept %d bytes in %d, want %d", len(got), cap(h.text), message.MaxForeign)
	}
}
