// Package cache holds what one revision of a fleet repo leaves behind so that the next
// one costs only what it changes: which files were read, and which objects a build gave.
//
//	recorder := cache.NewRecorder(tree) // read the tree through it
//	if recorder.Matches(newTree) {
//		// What was made of tree would be made the same of newTree.
//	}
//	builds := cache.NewBuildCache(complete)
//	builds.Add(earlierOutput)
//	output, err := builds.Build(ctx, files) // shares objects with earlierOutput
//
// A cache never changes a result. It only saves time and memory.
package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"strconv"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
)

// Object is an object of a cluster with what it gives to each input set. It is immutable
// and shared by all clusters and revisions that have the same one.
type Object struct {
	kustomize.Object
	// Inputs has the input of each set by the set's index in fleet.yaml; nil for sets
	// that do not select the object.
	Inputs []*Input
}

// Input is what an object becomes in a set, except for the cluster's identity. It is the
// same for every cluster that has the object.
type Input struct {
	fleet.Input
	Keys   []string // top-level keys, sorted, without cluster
	Faults []Fault
}

// Fault is what is wrong with an input, and the path of it in the object.
type Fault struct{ Path, Message string }

// BuildOutput is the result of building a stack. Stacks of several revisions share it
// while nothing that they read changes. It is immutable.
type BuildOutput struct {
	// Objects are what a cluster without resources and patches of its own has: the stack,
	// built once more, as every cluster's objects are.
	Objects []*Object

	texts      [][]byte // the objects of the stack, as kustomize writes them
	finished   map[digest]finishedObject
	dependents dependentSet
}

// YAML returns the stack as kustomize writes it.
func (b *BuildOutput) YAML() []byte { return joinYAML(b.texts) }

func joinYAML(texts [][]byte) []byte { return bytes.Join(texts, []byte("---\n")) }

// digest identifies an object as a build returned it.
type digest [sha256.Size]byte

// finishedObject is an object of a build with what the second build makes of it. Most
// stacks share most objects, and most objects of a stack are the same as in the revision
// before.
type finishedObject struct {
	text   []byte
	object *Object
	// independent reports that the second build makes the same of it, whatever other
	// objects there are.
	independent bool
}

// dependentSet has the objects of a build that are not independent, and what the second
// build makes of them together.
type dependentSet struct {
	key     digest // of all of them in order
	objects []*Object
}

// BuildCache builds stacks and reuses the objects of those that it has seen. It is safe
// for concurrent use.
type BuildCache struct {
	complete func(kustomize.Object) *Object

	mu         sync.Mutex
	finished   map[digest]finishedObject
	dependents map[digest][]*Object
	byContent  map[digest]*Object // so that equal objects are one
}

// NewBuildCache returns an empty cache. complete adds the inputs to an object.
func NewBuildCache(complete func(kustomize.Object) *Object) *BuildCache {
	return &BuildCache{
		complete: complete,
		finished: map[digest]finishedObject{}, dependents: map[digest][]*Object{}, byContent: map[digest]*Object{},
	}
}

// Add makes the objects of a build available to later ones. They must have the inputs
// that complete would add.
func (c *BuildCache) Add(b *BuildOutput) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for d, f := range b.finished {
		c.finished[d] = f
		c.byContent[contentDigest(f.object)] = f.object
	}
	c.dependents[b.dependents.key] = b.dependents.objects
}

// Build builds a stack, and then builds the result once more, because that is how the
// objects of every cluster are made. Objects whose second build is known already are not
// built again. kustomize is locked only while it builds.
func (c *BuildCache) Build(ctx context.Context, f *kustomize.Filesystem) (*BuildOutput, error) {
	found, err := kustomize.Build(ctx, f)
	if err != nil {
		return nil, err
	}
	b := &BuildOutput{texts: make([][]byte, len(found)), Objects: make([]*Object, len(found)), finished: make(map[digest]finishedObject, len(found))}
	digests := make([]digest, len(found))
	var rest []int // indexes of what has to be built once more
	for i, res := range found {
		digests[i] = nodeDigest(res.YNode())
		known, ok := c.find(digests[i])
		if b.texts[i], b.Objects[i] = known.text, known.object; !ok {
			if b.texts[i], err = res.AsYAML(); err != nil {
				return nil, err
			}
		}
		if !known.independent {
			rest = append(rest, i)
		}
	}
	if len(rest) > chunkSize {
		if rest, err = c.buildIndependent(ctx, b, found, rest); err != nil {
			return nil, err
		}
	}
	complete, err := c.buildAgain(ctx, b, rest, digests)
	if err != nil || !complete {
		return b, err // the second build hid some objects, so nothing is known about the others
	}
	rest = nil
	for i, o := range b.Objects {
		independent := o.Independent() && !kustomize.IsUnusual(b.texts[i])
		b.finished[digests[i]] = finishedObject{b.texts[i], o, independent}
		if !independent {
			rest, b.dependents.objects = append(rest, i), append(b.dependents.objects, o)
		}
	}
	b.dependents.key = digestOfAll(rest, digests)
	c.Add(b)
	return b, nil
}

// chunkSize is how many independent objects are built again at once, where there are more.
// kustomize takes time by the square of them.
const chunkSize = 100

// buildIndependent sets those of the objects at some indexes that are independent to what the
// second build makes of them, and returns the indexes of the others.
func (c *BuildCache) buildIndependent(ctx context.Context, b *BuildOutput, found []kustomize.Resource, indexes []int) (rest []int, err error) {
	var independent []int
	for _, i := range indexes {
		o, err := found[i].Object()
		if err != nil {
			return nil, err
		}
		if o.Independent() && !kustomize.IsUnusual(b.texts[i]) {
			independent = append(independent, i)
		} else {
			rest = append(rest, i)
		}
	}
	for chunk := range slices.Chunk(independent, chunkSize) {
		texts := make([][]byte, len(chunk))
		for n, i := range chunk {
			texts[n] = b.texts[i]
		}
		objects, err := c.buildLayer(ctx, texts)
		if err != nil {
			return nil, err
		}
		if len(objects) != len(chunk) { // does not happen to independent objects, but is not worth a panic
			rest = append(rest, chunk...)
			continue
		}
		for n, i := range chunk {
			b.Objects[i] = c.share(objects[n])
		}
	}
	slices.Sort(rest)
	return rest, nil
}

// buildAgain sets the objects at some indexes to what the second build makes of them
// together. It returns false if that made more or fewer objects.
func (c *BuildCache) buildAgain(ctx context.Context, b *BuildOutput, indexes []int, digests []digest) (complete bool, err error) {
	c.mu.Lock()
	objects := c.dependents[digestOfAll(indexes, digests)]
	c.mu.Unlock()
	if len(indexes) == 0 || len(objects) == len(indexes) {
		for n, i := range indexes {
			b.Objects[i] = objects[n]
		}
		return true, nil
	}
	var texts [][]byte
	for _, i := range indexes {
		texts = append(texts, b.texts[i])
	}
	if objects, err = c.buildLayer(ctx, texts); err != nil {
		return false, err
	}
	if len(objects) != len(indexes) {
		b.Objects, err = c.buildLayer(ctx, b.texts)
		return false, err
	}
	for n, i := range indexes {
		b.Objects[i] = c.share(objects[n])
	}
	return true, nil
}

func (c *BuildCache) buildLayer(ctx context.Context, texts [][]byte) ([]*Object, error) {
	found, err := kustomize.Build(ctx, kustomize.LayerFiles(joinYAML(texts), nil, nil))
	if err != nil {
		return nil, err
	}
	objects := make([]*Object, len(found))
	for i, res := range found {
		o, err := res.Object()
		if err != nil {
			return nil, err
		}
		objects[i] = c.complete(o)
	}
	return objects, nil
}

func (c *BuildCache) find(d digest) (finishedObject, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.finished[d]
	return f, ok
}

// share returns an equal object if there is one, or else keeps this one.
func (c *BuildCache) share(o *Object) *Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := contentDigest(o)
	if known, ok := c.byContent[d]; ok {
		return known
	}
	c.byContent[d] = o
	return o
}

func digestOfAll(indexes []int, digests []digest) digest {
	h := sha256.New()
	for _, i := range indexes {
		h.Write(digests[i][:])
	}
	return digest(h.Sum(nil))
}

// contentDigest covers everything that an object is made from.
func contentDigest(o *Object) digest {
	return sha256.Sum256(slices.Concat([]byte(strconv.FormatBool(o.Unknown)+" "+o.ID.String()+"\n"), o.JSON))
}

// nodeDigest covers everything in a node that its text and values depend on.
func nodeDigest(n *yaml.Node) digest {
	return sha256.Sum256(appendNode(make([]byte, 0, 4096), n))
}

// appendNode needs no limit, because the files of a build are limited.
func appendNode(b []byte, n *yaml.Node) []byte {
	b = strconv.AppendInt(b, int64(n.Kind), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(n.Style), 10)
	for _, text := range []string{n.Tag, n.Anchor, n.Value} {
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(len(text)), 10)
		b = append(append(b, ':'), text...)
	}
	if n.Alias != nil {
		b = appendNode(b, n.Alias)
	}
	b = append(b, '[')
	for _, child := range n.Content {
		b = appendNode(b, child)
	}
	return append(b, ']')
}
