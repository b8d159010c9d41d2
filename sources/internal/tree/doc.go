// Package tree keeps the files of a snapshot in memory.
//
// A source builds a tree from nodes, or with a Builder from the entries of an
// archive, and counts each entry against a Budget before it reads the content:
//
//	b := tree.NewBuilder(limits, "", nil)
//	err := b.AddTar(ctx, archive)
//	t, err := b.Tree()
//
// A tree is an immutable fs.FS. No path leads out of it. What the fleet repo
// itself gets wrong is a Fault, which names the file and says what to do.
package tree
