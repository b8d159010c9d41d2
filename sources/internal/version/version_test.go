package version

import (
	"slices"
	"testing"
)

func TestHighestVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		versions, want string
		tags           []string
	}{
		{"*", "v1.10.0", []string{"v1.9.0", "v1.10.0", "1.2.3"}},
		{"*", "", []string{"v1", "v1.2", "2024", "main", "v1.2.3-rc.1", "x1.2.3"}},
		{">=1.0.0-0", "v1.2.3-rc.10", []string{"v1.2.3-rc.9", "v1.2.3-rc.10", "v1.2.3-rc.1"}},
		{">=1.0.0-0", "v1.2.3", []string{"v1.2.3-rc.9", "v1.2.3"}},
		{"*", "v2025.1.30", []string{"v2025.02.03", "v2025.1.30"}},
		{"1.x", "v1.5.0", []string{"v01.9.0", "v1.5.0"}},
		{"*", "v1.0.0", []string{"1.0.0", "v1.0.0"}},
		{"*", "1.0.0+b.10", []string{"1.0.0", "v1.0.0+b.9", "1.0.0+b.10", "v1.0.0"}},
		{"~1.2 || ^3", "3.1.0", []string{"1.2.9", "3.1.0", "2.0.0", "4.0.0"}},
	} {
		for range len(c.tags) {
			c.tags = append(c.tags[1:], c.tags[0])
			if got, _ := Highest(c.tags, c.versions); got != c.want {
				t.Errorf("highest of %q in %q = %q, want %q", c.tags, c.versions, got, c.want)
			}
		}
		slices.Reverse(c.tags)
		if got, ok := Highest(c.tags, c.versions); got != c.want || ok != (got != "") {
			t.Errorf("highest of %q in %q = %q, %v, want %q", c.tags, c.versions, got, ok, c.want)
		}
	}
}
