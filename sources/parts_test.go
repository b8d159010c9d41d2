package sources

import (
	"fmt"
	"testing"
)

// TestListingOfADirectoryKeepsNoOlderOne has directories change one after another: each
// that is known would else keep all that was listed with it when it was read.
func TestListingOfADirectoryKeepsNoOlderOne(t *testing.T) {
	t.Parallel()
	var children []*node
	for i := range 5 {
		children = append(children, folderOf(t, i))
	}
	last := &lastPacked{}
	for i := range children {
		children[i] = folderOf(t, i)
		root, err := newDirectoryNode(".", ".", children)
		if err != nil {
			t.Fatal(err)
		}
		l := last.lister(t.Context(), &tree{root})
		if err := l.children(".", nil); err != nil {
			t.Fatal(err)
		}
		last.remember(l, l.parts())
		for _, listed := range last.directories {
			inIt := false
			for n := range l.files {
				inIt = inIt || &l.files[n] == &listed.files[0]
			}
			if !inIt && i > 0 { // the first listing grows as it is made
				t.Fatalf("after %d changes %s keeps what was listed before", i+1, listed.path)
			}
		}
	}
}

func folderOf(t *testing.T, i int) *node {
	t.Helper()
	name := fmt.Sprint(i)
	n, err := newDirectoryNode(name, name, []*node{newFileNode(name+"/a", false, []byte("a")), newFileNode(name+"/b", false, []byte("b"))})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
