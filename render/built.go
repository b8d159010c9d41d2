package render

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strconv"
	"sync"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resmap"
)

// built is what a build gave. Stacks of several revisions have the same one while nothing
// that they read is another.
type built struct {
	// texts are the objects of stack.yaml, as kustomize writes them.
	texts [][]byte
	// objects are what a cluster without resources and patches of its own has:
	// the build, built once more, which is what every cluster goes through.
	objects []*object
	// answers are what the objects give to each set.
	answers []*answer

	finished map[digest]finished
	crowd    crowd
}

// crowd are the objects of a build that do not stand alone, and what becomes of them
// together.
type crowd struct {
	key     digest // of all of them, in their order
	objects []*object
}

// yaml is stack.yaml.
func (b *built) yaml() []byte { return bytes.Join(b.texts, []byte("---\n")) }

// digest is of an object as a build has it.
type digest [sha256.Size]byte

// finished is an object of a build with what becomes of it: most stacks share most
// objects, and most of a stack's are as they were in the revision before.
type finished struct {
	text   []byte
	object *object
	alone  bool // built once more it is the same, whatever else there is
}

// knowledge is what is known of finished objects. Whoever has it may add to it.
type knowledge struct {
	spec *spec // by which the objects were made

	mu       sync.Mutex
	finished map[digest]finished
	crowds   map[digest]crowd
	objects  map[digest]*object // by what they say
}

// knowledgeOf is what an earlier revision's stacks know, where it holds.
func (r *Repo) knowledgeOf(earlier *Repo) *knowledge {
	r.known = &knowledge{spec: earlier.spec, finished: map[digest]finished{}, crowds: map[digest]crowd{}, objects: map[digest]*object{}}
	if earlier.spec != r.spec {
		return r.known
	}
	for _, s := range earlier.stacks {
		if s != nil {
			r.known.add(s.built)
		}
	}
	return r.known
}

func (k *knowledge) add(b *built) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for d, f := range b.finished {
		k.finished[d] = f
		k.objects[f.object.digest()] = f.object
	}
	k.crowds[b.crowd.key] = b.crowd
}

func (k *knowledge) find(d digest) (finished, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.finished[d]
	return f, ok
}

func (k *knowledge) crowd(key digest) []*object {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.crowds[key].objects
}

// share returns the object that says the same, or keeps this one for others.
func (k *knowledge) share(o *object) *object {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := o.digest()
	if known, ok := k.objects[d]; ok {
		return known
	}
	k.objects[d] = o
	return o
}

// digest is of all that an object is made from.
func (o *object) digest() digest {
	return sha256.Sum256(slices.Concat([]byte(strconv.FormatBool(o.unknown)+" "+o.id.String()+"\n"), o.JSON))
}

// finish builds, with kustomize to itself no longer than that takes, and builds what came
// of it once more: what stands alone and is known already need not be.
func (r *Repo) finish(f *filesystem, known *knowledge) (*built, error) {
	var m resmap.ResMap
	err := withKustomize(func() (err error) {
		m, err = build(f, stackDir)
		return err
	})
	if err != nil {
		return nil, err
	}
	found := m.Resources()
	b := &built{texts: make([][]byte, len(found)), objects: make([]*object, len(found)), finished: make(map[digest]finished, len(found))}
	digests := make([]digest, len(found))
	var rest []int // what has to be built once more
	for i, res := range found {
		digests[i] = digestOf(res.YNode())
		one, ok := known.find(digests[i])
		if b.texts[i], b.objects[i] = one.text, one.object; !ok {
			if b.texts[i], err = res.AsYAML(); err != nil {
				return nil, err
			}
		}
		if !ok || !one.alone {
			rest = append(rest, i)
		}
	}
	whole, err := r.again(b, rest, digests, known)
	if err != nil || !whole {
		return b, err // something of it was hidden, and nothing is known of the rest
	}
	b.know(digests)
	known.add(b)
	return b, nil
}

// know notes what can be known of the build's objects when they come again.
func (b *built) know(digests []digest) {
	var rest []int
	for i, o := range b.objects {
		alone := independent(o) && !unusual.Match(b.texts[i])
		b.finished[digests[i]] = finished{b.texts[i], o, alone}
		if !alone {
			rest, b.crowd.objects = append(rest, i), append(b.crowd.objects, o)
		}
	}
	b.crowd.key = crowdKey(rest, digests)
}

func crowdKey(places []int, digests []digest) digest {
	h := sha256.New()
	for _, i := range places {
		h.Write(digests[i][:])
	}
	return digest(h.Sum(nil))
}

// again builds some of the objects once more, together, unless it is known what becomes of
// just these. It returns false where they have become more or fewer.
func (r *Repo) again(b *built, places []int, digests []digest, known *knowledge) (whole bool, err error) {
	objects := known.crowd(crowdKey(places, digests))
	if len(places) == 0 || len(objects) == len(places) {
		for n, i := range places {
			b.objects[i] = objects[n]
		}
		return true, nil
	}
	var texts [][]byte
	for _, i := range places {
		texts = append(texts, b.texts[i])
	}
	if objects, err = r.layerOf(texts); err != nil {
		return false, err
	}
	if len(objects) != len(places) {
		b.objects, err = r.layerOf(b.texts)
		return false, err
	}
	for n, i := range places {
		b.objects[i] = known.share(objects[n])
	}
	return true, nil
}

// layerOf are the objects that a build of stack.yaml gives.
func (r *Repo) layerOf(texts [][]byte) ([]*object, error) {
	var found []identified
	err := withKustomize(func() error {
		m, err := build(layer((&built{texts: texts}).yaml(), nil, nil), layerDir)
		if err == nil {
			found = identify(m)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.read(found)
}

// digestOf is of all of a node that what is read of it depends on.
func digestOf(n *yaml.Node) digest {
	return sha256.Sum256(appendNode(make([]byte, 0, 4096), n))
}

// appendNode knows no bound, because the files of a build have been held against some.
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
