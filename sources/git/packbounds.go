package git

import (
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// packBounds bound what one pack may cost, mostly in disk space. A pack has to
// be read to its end before it is known which of its objects are files of the
// fleet repo.
type packBounds struct {
	tree.Limits
	// wide is true for a pack that contains more than the fleet repo.
	wide bool
	// objects is the maximum number of objects.
	objects int64
	// transfer is the maximum number of bytes that a server may send, and
	// inflated the maximum after decompression.
	transfer, inflated int64
	// spooled is the maximum number of bytes on disk.
	spooled int64
}

// boundsOf returns the bounds for a pack. They leave room for objects that
// servers send unasked, for files that are too large and are refused by name
// later, and for deltas, their results and directories. Wide is for a
// Repository that contains more than the fleet repo, or its history.
func boundsOf(l tree.Limits, wide bool) packBounds {
	b := packBounds{
		Limits: l, wide: wide,
		// A tree has at most as many files and directories as it has entries.
		objects:  2*int64(l.Files) + 1000,
		transfer: 8*l.TreeSize + 64<<20,
		inflated: 8*l.TreeSize + 64<<20,
		spooled:  2*l.TreeSize + 16<<20,
	}
	if wide {
		b.objects, b.transfer, b.inflated, b.spooled = 10*b.objects, 2*b.transfer, 8*b.inflated, 8*b.spooled
	}
	return b
}

func (b packBounds) tooManyObjects() error {
	if b.wide {
		return tree.NewFault("", "the repository has more than %d files, directories and commits; keep the fleet repo in one of its own", b.objects)
	}
	return tree.TooManyFiles(b.Limits)
}

func (b packBounds) tooManyBytes() error {
	if b.wide {
		return tree.NewFault("", "the repository around the fleet repo takes more than %s; keep the fleet repo in one of its own", message.Size(b.spooled))
	}
	return tree.NewFault("", "its files are much larger than %s in total; move files that no cluster needs out of the fleet repo", message.Size(b.TreeSize))
}
