package textdiff

import (
	"bytes"
	"testing"
)

func TestDiffIsColouredForTerminalsOnly(t *testing.T) {
	t.Parallel()
	var plain, coloured bytes.Buffer
	New(&plain).Print("apps/web\x1b[2J", "a: 1\n", "a: 2\n")
	if got, want := plain.String(), "apps/web?[2J\n@@ -1,1 +1,1 @@\n-a: 1\n+a: 2\n"; got != want {
		t.Errorf("plain diff = %q, want %q", got, want)
	}
	Printer{&coloured, true}.Print("apps/web", "", "a: 2\n")
	if got, want := coloured.String(), "\x1b[1mapps/web (new)\x1b[m\n\x1b[36m@@ -0,0 +1,1 @@\x1b[m\n\x1b[32m+a: 2\x1b[m\n"; got != want {
		t.Errorf("coloured diff = %q, want %q", got, want)
	}
}
