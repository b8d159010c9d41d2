package main

import "testing"

func TestLabelPatch(t *testing.T) {
	t.Parallel()
	got, err := labelPatch([]string{"region=eu", "gpu-", "empty=", "a-b=c="})
	if want := `{"labels":{"a-b":"c=","empty":"","gpu":null,"region":"eu"}}`; err != nil || string(got) != want {
		t.Errorf("labelPatch = %s, %v, want %s", got, err, want)
	}
	for _, wrong := range [][]string{nil, {"region"}, {"=eu"}, {"-"}, {"a=b", "a-"}} {
		if got, err := labelPatch(wrong); err == nil {
			t.Errorf("labelPatch(%q) = %s, want an error", wrong, got)
		}
	}
}
