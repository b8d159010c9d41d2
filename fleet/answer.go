package fleet

import (
	"bytes"
	"slices"
)

// Answer is the answer to a poll: the inputs of one set of one cluster. It is kept as the inputs
// that it consists of, which most clusters share, because the text of all answers would be
// nearly all the memory that a fleet takes. It is immutable.
type Answer struct {
	// Inputs are sorted by ID.
	Inputs []*Input
	// Identity is the JSON of the cluster's [Identity], which stands in every input.
	Identity []byte

	size int
}

const answerHead, answerTail = `{"inputs":[`, `]}`

// NewAnswer returns the answer of inputs that are sorted by ID. It keeps both slices.
func NewAnswer(inputs []*Input, identity []byte) *Answer {
	size := len(answerHead) + len(answerTail) + max(len(inputs)-1, 0)
	for _, in := range inputs {
		size += in.size() + len(identity)
	}
	return &Answer{Inputs: inputs, Identity: identity, size: size}
}

// Is reports whether the answer consists of the very same inputs, for the same cluster. The
// answer may be nil.
func (a *Answer) Is(inputs []*Input, identity []byte) bool {
	return a != nil && bytes.Equal(a.Identity, identity) && slices.Equal(a.Inputs, inputs)
}

// List returns the inputs. The answer may be nil.
func (a *Answer) List() []*Input {
	if a == nil {
		return nil
	}
	return a.Inputs
}

// Size returns the length of the text in bytes.
func (a *Answer) Size() int { return a.size }

// JSON returns the text of the answer. The caller owns it.
func (a *Answer) JSON() []byte { return a.AppendTo(make([]byte, 0, a.size)) }

// AppendTo appends the text of the answer to a slice.
func (a *Answer) AppendTo(to []byte) []byte {
	to = append(to, answerHead...)
	for i, in := range a.Inputs {
		if i > 0 {
			to = append(to, ',')
		}
		to = in.AppendTo(to, a.Identity)
	}
	return append(to, answerTail...)
}

// Input returns the text of one of the answer's inputs.
func (a *Answer) Input(in *Input) []byte {
	return in.AppendTo(make([]byte, 0, in.size()+len(a.Identity)), a.Identity)
}
