package tree

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
)

// A tree is filtered in the same way whether or not an earlier one is known.
func TestIgnoreDoesNotDependOnThePreviousTree(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b.yaml", "logo.png", "docs"}
	patterns := []string{"*.yaml", "!b.yaml", "docs/", "!docs/a", "/a", "a/**/b.yaml", "!*.png"}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var last *Tree
		var ignore string
		for step := range 20 {
			if step == 0 || rng.IntN(8) == 0 {
				ignore = patterns[rng.IntN(len(patterns))] + "\n" + patterns[rng.IntN(len(patterns))]
			}
			root := randomDirectory(t, rng, ".", 3, names, ignore)
			afresh, ignored := New(root).Ignore(nil, IgnoreFile)
			kept, ignoredAgain := New(root).Ignore(last, IgnoreFile)
			if got, want := list(kept.Root, "."), list(afresh.Root, "."); !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: kept\n%s\nwithout a previous tree\n%s", seed, step, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if !slices.Equal(ignored, ignoredAgain) {
				t.Fatalf("seed %d, step %d: ignored %q, without a previous tree %q", seed, step, ignoredAgain, ignored)
			}
			last = kept
		}
	}
}

func randomDirectory(t *testing.T, rng *rand.Rand, name string, depth int, names []string, ignore string) *Node {
	t.Helper()
	var children []*Node
	for _, child := range names {
		switch rng.IntN(5) {
		case 0, 1:
			children = append(children, &Node{Base: child, Mode: modeFile})
		case 2:
			children = append(children, &Node{Base: child, Mode: ModeSubmodule})
		case 3:
			if depth > 0 {
				children = append(children, randomDirectory(t, rng, path.Join(name, child), depth-1, names, ignore))
			}
		}
	}
	if name == "." {
		children = append(children, &Node{Base: IgnoreFile, Mode: modeFile, Data: []byte(ignore)})
	}
	n, err := NewDirectory(path.Base(name), name, children)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func list(n *Node, at string) []string {
	lines := []string{fmt.Sprintf("%s %v %s", at, n.Mode&fs.ModeType, n.Data)}
	for _, child := range n.Children {
		lines = append(lines, list(child, path.Join(at, child.Base))...)
	}
	return lines
}
