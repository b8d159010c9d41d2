package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const printed = `goos: linux
some test logs this
BenchmarkPoll-2        100   0.9500 ratio   30000 polls/s
BenchmarkMemory-2        1   260.0 MB   12.00 KB/cluster
BenchmarkGrowth/clusters=1000-2    1   10.00 MB   0.1000 base-s   10.00 one-ms   1.000 start-s
BenchmarkGrowth/clusters=10000-2   1   100.0 MB   0.5000 base-s   20.00 one-ms   2.000 start-s
BenchmarkGrowth/clusters=50000-2   1   500.0 MB   9.0000 base-s   64.00 one-ms   6.000 start-s
PASS
`

// docs returns a directory with a page without results.
func docs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "benchmarks.md"), []byte("# Before\n"+begin+end+"After\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func recorded(t *testing.T, dir, printed string) (md, txt string) {
	t.Helper()
	if err := run([]string{dir}, strings.NewReader(printed)); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	return read("benchmarks.md"), read("benchmarks.txt")
}

func TestPageTellsWhatIsMetAndWhatIsNot(t *testing.T) {
	md, _ := recorded(t, docs(t), printed)
	for _, want := range []string{
		"# Before\n", "After\n",
		"| 0.95 of its rate | at least 0.85 of its rate | yes |",
		"| 260 MB | at most 250 MB | no |",
		"| commit to the base | 0.1 s | 0.5 s | 44.4 µs | 9 s | 212 µs | linear within 20 % | no |",
		"| resident memory | 10 MB | 100 MB | 10,000 bytes | 500 MB | 10,000 bytes | linear within 20 % | yes |",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("the page lacks %q:\n%s", want, md)
		}
	}
}

func TestRunOfOneBenchmarkKeepsTheOthers(t *testing.T) {
	dir := docs(t)
	recorded(t, dir, printed)
	md, txt := recorded(t, dir, "BenchmarkPoll-2 1 0.8000 ratio\nBenchmarkPoll-2 1 0.7000 ratio\nBenchmarkPoll-2 1 1.000 ratio\n")
	if !strings.Contains(md, "| 0.8 of its rate (0.7–1) | at least 0.85 of its rate | no |") || !strings.Contains(md, "260 MB") {
		t.Errorf("the page is\n%s", md)
	}
	if strings.Contains(txt, "30000 polls/s") || strings.Count(txt, "BenchmarkPoll") != 3 {
		t.Errorf("the results are\n%s", txt)
	}
}

func TestRunWithoutBenchmarksIsAnError(t *testing.T) {
	if err := run([]string{docs(t)}, strings.NewReader("PASS\n")); err == nil {
		t.Error("nothing measured is recorded")
	}
}
