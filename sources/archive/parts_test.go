package archive

import (
	"fmt"
	"testing"

	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// TestReusedListingKeepsNoOlderListing changes one directory after another. A
// reused listing must not keep alive the whole list that it was part of.
func TestReusedListingKeepsNoOlderListing(t *testing.T) {
	t.Parallel()
	var children []*tree.Node
	for i := range 5 {
		children = append(children, folderOf(t, i))
	}
	last := &lastPacked{}
	for i := range children {
		children[i] = folderOf(t, i)
		root, err := tree.NewDirectory(".", ".", children)
		if err != nil {
			t.Fatal(err)
		}
		l := last.lister(t.Context(), tree.New(root))
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

func folderOf(t *testing.T, i int) *tree.Node {
	t.Helper()
	name := fmt.Sprint(i)
	n, err := tree.NewDirectory(name, name, []*tree.Node{tree.NewFile(name+"/a", false, []byte("a")), tree.NewFile(name+"/b", false, []byte("b"))})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
