package git

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// packOf writes a pack that git would not write.
func packOf(count int, objects ...[]byte) []byte {
	p := []byte("PACK\x00\x00\x00\x02")
	p = binary.BigEndian.AppendUint32(p, uint32(count))
	p = append(p, bytes.Join(objects, nil)...)
	sum := sha1.Sum(p)
	return append(p, sum[:]...)
}

// packed returns an object of a pack that claims to be of a size.
func packed(kind plumbing.ObjectType, size int, reference, content []byte) []byte {
	var p []byte
	c := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p = append(p, c|0x80)
		c = byte(size & 127)
	}
	p = append(append(p, c), reference...)
	var deflated bytes.Buffer
	w := zlib.NewWriter(&deflated)
	_, _ = w.Write(content)
	_ = w.Close()
	return append(p, deflated.Bytes()...)
}

func blob(content string) []byte {
	return packed(plumbing.BlobObject, len(content), nil, []byte(content))
}

// deltaOf returns a delta against the object with a hash.
func deltaOf(base plumbing.Hash, baseSize, size int, instructions string) []byte {
	d := binary.AppendUvarint(nil, uint64(baseSize))
	d = binary.AppendUvarint(d, uint64(size))
	d = append(d, instructions...)
	return packed(plumbing.REFDeltaObject, len(d), base[:], d)
}

func testBounds() packBounds {
	return boundsOf(tree.Limits{FileSize: 1000, TreeSize: 4000}.OrDefaults(), false)
}

func takeIn(t testing.TB, data []byte, have objects) (*pack, error) {
	t.Helper()
	p, err := readPack(context.Background(), bytes.NewReader(data), have, testBounds())
	if err == nil {
		t.Cleanup(p.close)
	}
	return p, err
}

// copyAll returns the instruction to copy a base of less than 256 bytes.
func copyAll(size int) string { return "\x90" + string(rune(size)) }

func TestPackAppliesDeltasInAnyOrder(t *testing.T) {
	t.Parallel()
	first := plumbing.ComputeHash(plumbing.BlobObject, []byte("first"))
	known := plumbing.ComputeHash(plumbing.BlobObject, []byte("known"))
	second := plumbing.ComputeHash(plumbing.BlobObject, []byte("first+"))
	third := plumbing.ComputeHash(plumbing.BlobObject, []byte("first++"))
	other := plumbing.ComputeHash(plumbing.BlobObject, []byte("known+"))
	p, err := takeIn(t, packOf(4,
		deltaOf(second, 6, 7, copyAll(6)+"\x01+"),
		deltaOf(first, 5, 6, copyAll(5)+"\x01+"),
		deltaOf(known, 5, 6, copyAll(5)+"\x01+"),
		blob("first"),
	), objects{known: {kind: plumbing.BlobObject, data: []byte("known")}})
	if err != nil {
		t.Fatal(err)
	}
	for hash, want := range map[plumbing.Hash]string{first: "first", second: "first+", third: "first++", other: "known+"} {
		if got, err := p.read(p.index[hash]); err != nil || string(got) != want {
			t.Errorf("object %s = %q, %v, want %q", hash, got, err, want)
		}
	}
}

func TestPackRefusesWhatIsBroken(t *testing.T) {
	t.Parallel()
	missing := plumbing.NewHash(strings.Repeat("ab", 20))
	base := plumbing.ComputeHash(plumbing.BlobObject, []byte("base"))
	sound := packOf(1, blob("base"))
	for name, data := range map[string][]byte{
		"nothing":               {},
		"no pack":               []byte("<html>"),
		"end in the header":     sound[:10],
		"end in an object":      sound[:16],
		"end in the checksum":   sound[:len(sound)-1],
		"fewer objects":         packOf(2, blob("base")),
		"other checksum":        append(bytes.Clone(sound[:len(sound)-1]), 'x'),
		"longer than it says":   packOf(1, packed(plumbing.BlobObject, 3, nil, []byte("base"))),
		"shorter than it says":  packOf(1, packed(plumbing.BlobObject, 5, nil, []byte("base"))),
		"unknown type":          packOf(1, packed(plumbing.ObjectType(5), 4, nil, []byte("base"))),
		"no base":               packOf(1, deltaOf(missing, 4, 4, copyAll(4))),
		"delta of itself":       packOf(1, deltaOf(base, 4, 4, copyAll(4))),
		"delta past its base":   packOf(2, blob("base"), deltaOf(base, 4, 9, copyAll(9))),
		"delta of another size": packOf(2, blob("base"), deltaOf(base, 9, 4, copyAll(4))),
		"delta without end":     packOf(2, blob("base"), deltaOf(base, 4, 9, copyAll(4))),
		"delta without sizes":   packOf(2, blob("base"), packed(plumbing.REFDeltaObject, 1, base[:], []byte{0x80})),
	} {
		if p, err := takeIn(t, data, nil); err == nil {
			t.Errorf("%s: pack was read, with %d objects, want an error", name, len(p.index))
		} else if errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%s: error = %v, which blames the fleet repo", name, err)
		}
	}
}

// TestPackIsReadInBoundedMemory uses packs of some hundred bytes that expand to
// far more.
func TestPackIsReadInBoundedMemory(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("x", 250)
	base := plumbing.ComputeHash(plumbing.BlobObject, []byte(content))
	grow := func(size int) []byte { return deltaOf(base, 250, size, strings.Repeat(copyAll(250), size/250)) }

	t.Run("one object", func(t *testing.T) {
		p, err := takeIn(t, packOf(2, blob(content), grow(250_000)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !p.skipped || len(p.index) != 1 {
			t.Errorf("skipped = %v with %d objects, want only the base", p.skipped, len(p.index))
		}
	})
	t.Run("base", func(t *testing.T) {
		huge := strings.Repeat("x", 4001)
		hash := plumbing.ComputeHash(plumbing.BlobObject, []byte(huge))
		p, err := takeIn(t, packOf(2, blob(huge), deltaOf(hash, 4001, 1, "\x01+")), nil)
		if err != nil {
			t.Fatal(err)
		}
		if at := p.index[hash]; !p.skipped || len(p.index) != 1 || at.offset >= 0 || at.size != 4001 || p.size > 100 {
			t.Errorf("skipped = %v, base at %v, and %d bytes on disk, want only the size of the base", p.skipped, at, p.size)
		}
	})
	t.Run("results", func(t *testing.T) {
		bounds := testBounds()
		bounds.inflated = 10_000
		objects := [][]byte{blob(content)}
		for i := range 10 {
			objects = append(objects, deltaOf(base, 250, 1001+i, strings.Repeat(copyAll(125), 8)+copyAll(i+1)))
		}
		p, err := readPack(t.Context(), bytes.NewReader(packOf(len(objects), objects...)), nil, bounds)
		if err == nil {
			p.close()
		}
		if !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("error = %v, want a fleet.ErrInvalid, because the results of the deltas are too large together", err)
		}
	})
	t.Run("count", func(t *testing.T) {
		if _, err := takeIn(t, packOf(1<<30), nil); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("error = %v, want a fleet.ErrInvalid", err)
		}
	})
}

// TestPackReadsLongChains uses a chain of deltas whose results take more memory
// together than the tree may.
func TestPackReadsLongChains(t *testing.T) {
	t.Parallel()
	last := strings.Repeat("x", 250)
	objects := [][]byte{blob(last)}
	for range 100 {
		hash := plumbing.ComputeHash(plumbing.BlobObject, []byte(last))
		objects = append(objects, deltaOf(hash, len(last), len(last)+1, "\xb0"+string([]byte{byte(len(last)), byte(len(last) >> 8)})+"\x01y"))
		last += "y"
	}
	p, err := takeIn(t, packOf(len(objects), objects...), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.read(p.index[plumbing.ComputeHash(plumbing.BlobObject, []byte(last))]); err != nil || string(got) != last {
		t.Errorf("the last object = %q, %v, want %q", got, err, last)
	}
}

// FuzzPack checks that a pack at worst fails, and that an object is never found
// under another hash than its own.
func FuzzPack(f *testing.F) {
	base := plumbing.ComputeHash(plumbing.BlobObject, []byte("base"))
	f.Add(packOf(2, blob("base"), deltaOf(base, 4, 5, copyAll(4)+"\x01+")))
	f.Add(packOf(2, blob("base"), packed(plumbing.OFSDeltaObject, 4, []byte{13}, []byte("\x04\x04\x90\x04"))))
	f.Add(packOf(1, packed(plumbing.TreeObject, 2000, nil, make([]byte, 2000))))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 20 { // So that changes pass the checksum.
			sum := sha1.Sum(data[:len(data)-20])
			data = append(bytes.Clone(data[:len(data)-20]), sum[:]...)
		}
		p, err := takeIn(t, data, objects{base: {kind: plumbing.BlobObject, data: []byte("base")}})
		if err != nil {
			return
		}
		for hash, at := range p.index {
			if at.offset < 0 {
				continue
			}
			content, err := p.read(at)
			if err != nil {
				t.Fatal(err)
			}
			if got := plumbing.ComputeHash(at.kind, content); got != hash || at.size > 4000 {
				t.Fatalf("object %s has hash %s and %d bytes", hash, got, at.size)
			}
		}
	})
}
