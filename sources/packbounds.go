package sources

import "fmt"

// packBounds are what one pack may cost, most of it disk. It has to be read to
// its end before it is known which of its objects are files of the fleet repo.
type packBounds struct {
	Limits
	// wide is true for a pack that holds more than the fleet repo.
	wide bool
	// objects is the most of them.
	objects int64
	// transfer is the most bytes that a server may send, and inflated the most
	// that they may be made into.
	transfer, inflated int64
	// spooled is the most bytes on disk.
	spooled int64
}

// boundsOf has room for what servers send unasked, for files that are refused
// by name once it is known which they are, and for deltas, what is made of them,
// and directories. Wide is for the repository around a fleet repo, or its history.
func boundsOf(l Limits, wide bool) packBounds {
	b := packBounds{
		Limits: l, wide: wide,
		// A tree has no more files and directories than it has entries.
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
		return &fault{"", fmt.Sprintf("the repository has more than %d files, directories and commits; keep the fleet repo in one of its own", b.objects)}
	}
	return tooManyFiles(b.Limits)
}

func (b packBounds) tooManyBytes() error {
	if b.wide {
		return &fault{"", fmt.Sprintf("the repository around the fleet repo takes more than %s; keep the fleet repo in one of its own", bytesize(b.spooled))}
	}
	return &fault{"", fmt.Sprintf("its files are much larger than %s in total; move files that no cluster needs out of the fleet repo", bytesize(b.TreeSize))}
}
