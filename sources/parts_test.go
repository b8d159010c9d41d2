package sources

import (
	"fmt"
	"testing"
)

// TestReusedListingKeepsNoOlderListing changes one directory after another. A
// reused listing must not keep alive the whole list that it was part of.
func TestReusedListingKeepsNoOlderListing(t *testing.T) {
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
			if !inIt && i > 0 { // the first listing grows while it is built
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
