package textfmt

import (
	"strings"
	"testing"
)

func TestLabelOfATextIsValid(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"environment=prod,region in (eu,us)": "environment-prod-region-in-eu-us",
		"!example.com/gpu":                   "example-com-gpu",
		strings.Repeat("edge-1-", 20):        strings.Repeat("edge-1-", 9)[:62],
	} {
		if got := Label(text); got != want {
			t.Errorf("Label(%q) = %q, want %q", text, got, want)
		}
	}
}
