package gitsign

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	maxSignedObject   = 16 << 20
	maxSignatureBlock = 64 << 10
	// maxObjectHeaders keeps a header a line from costing more memory than the
	// object itself. Each parent is one.
	maxObjectHeaders = 4096
)

// signedObject is a commit or tag, taken apart as it is. Encoding a decoded
// object again would lose what the decoder did not keep, and what is verified
// must be the very bytes that the hash names.
type signedObject struct {
	// payload is what was signed, and signature the armored block.
	payload, signature []byte
	// made is when the committer or tagger says that it was made.
	createdAt time.Time
}

// splitCommit takes a commit's signature out of its headers, as git does.
// Because git leaves out of the payload every header whose name begins with
// gpgsig, anybody could write there; so only the two that it writes are let pass,
// once each, and behind the headers that git and others read by their place.
func splitCommit(raw []byte) (*signedObject, error) {
	list, body, err := objectHeaders("commit", raw)
	if err != nil {
		return nil, err
	}
	committer, ok := findCommitter(raw, list)
	if !ok {
		return nil, errors.New("the commit does not begin with one tree, its parents, one author and one committer, so its signature has no meaning; create another")
	}
	o := &signedObject{}
	if o.createdAt, err = parseTimestamp("commit", committer.text(raw)); err != nil {
		return nil, err
	}
	var cuts []objectHeader
	for _, h := range list {
		if bytes.HasPrefix(h.name, []byte("gpgsig")) {
			cuts = append(cuts, h)
		}
	}
	if err := checkSignatureHeaders(raw, cuts); err != nil {
		return nil, err
	}
	o.payload = make([]byte, 0, len(raw))
	at := 0
	for _, cut := range cuts {
		o.payload = append(o.payload, raw[at:cut.start]...)
		at = cut.end
		if string(cut.name) == "gpgsig" {
			o.signature = unfold(cut.text(raw))
		}
	}
	o.payload = append(append(o.payload, raw[at:body]...), raw[body:]...)
	return o, nil
}

func checkSignatureHeaders(raw []byte, cuts []objectHeader) error {
	for i, cut := range cuts {
		name := string(cut.name)
		known := name == "gpgsig" || name == "gpgsig-sha256"
		if !known || !bytes.HasPrefix(cut.text(raw)[len(name):], []byte(" ")) {
			return fmt.Errorf("the commit has a header %s, which no signature covers; create a commit without it", quoteForeign(name))
		}
		if slices.ContainsFunc(cuts[:i], func(h objectHeader) bool { return bytes.Equal(h.name, cut.name) }) {
			return errors.New("the commit has more than one signature; sign it once")
		}
	}
	return nil
}

// commitOrder finds the committer, and tells whether the headers that say what a
// commit is stand once each and where they belong.
func findCommitter(raw []byte, list []objectHeader) (committer objectHeader, ok bool) {
	names := make([]string, len(list))
	for i, h := range list {
		names[i] = string(h.name)
	}
	rest := 1
	for rest < len(names) && names[rest] == "parent" {
		rest++
	}
	if len(names) < rest+2 || !hashHeader("tree", list[0].text(raw)) || names[rest] != "author" || names[rest+1] != "committer" {
		return objectHeader{}, false
	}
	for _, name := range names[rest+2:] {
		if slices.Contains([]string{"tree", "parent", "author", "committer"}, name) {
			return objectHeader{}, false
		}
	}
	return list[rest+1], true
}

// signatureBegins are the lines that git takes for the begin of a signature.
var signatureBegins = [][]byte{
	[]byte(beginOpenPGP), []byte(beginSSH), []byte(beginX509), []byte("-----BEGIN PGP MESSAGE-----"),
}

// splitTag cuts a tag at its signature, which is the last block that looks like
// one, as git does.
func splitTag(raw []byte) (*signedObject, error) {
	list, body, err := objectHeaders("tag", raw)
	if err != nil {
		return nil, err
	}
	tagger, ok := findTagger(raw, list)
	if !ok {
		return nil, errors.New("the tag does not begin with one object, its type, the tag's name and the tagger, so its signature has no meaning; create another")
	}
	o := &signedObject{payload: raw}
	if o.createdAt, err = parseTimestamp("tag", tagger.text(raw)); err != nil {
		return nil, err
	}
	for at := body; at < len(raw); at = lineEnd(raw, at) {
		if slices.ContainsFunc(signatureBegins, func(begin []byte) bool { return bytes.HasPrefix(raw[at:], begin) }) {
			o.payload, o.signature = raw[:at], raw[at:]
		}
	}
	return o, nil
}

// tagOrder is for a tag what commitOrder is for a commit. No other headers are
// let pass: git cuts signature headers out of a tag as well.
func findTagger(raw []byte, list []objectHeader) (tagger objectHeader, ok bool) {
	if len(list) != 4 || !hashHeader("object", list[0].text(raw)) {
		return objectHeader{}, false
	}
	for i, name := range []string{"object", "type", "tag", "tagger"} {
		if string(list[i].name) != name {
			return objectHeader{}, false
		}
	}
	return list[3], true
}

// objectHeader is a header with the lines that continue it.
type objectHeader struct {
	name       []byte
	start, end int
}

func (h objectHeader) text(raw []byte) []byte { return raw[h.start:h.end] }

// objectHeaders finds the headers. body is where the blank line stands that ends
// them.
func objectHeaders(noun string, raw []byte) (list []objectHeader, body int, err error) {
	if len(raw) > maxSignedObject {
		return nil, 0, fmt.Errorf("the %s is larger than %d MiB; create a smaller one", noun, maxSignedObject>>20)
	}
	for body < len(raw) && raw[body] != '\n' {
		end := lineEnd(raw, body)
		line := raw[body:end]
		switch {
		case line[0] == ' ' && len(list) > 0:
			list[len(list)-1].end = end
		case line[0] == ' ', len(list) == maxObjectHeaders:
			return nil, 0, malformedHeaders(noun)
		default:
			name, _, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
			list = append(list, objectHeader{name, body, end})
		}
		body = end
	}
	if bytes.IndexByte(raw[:body], 0) >= 0 {
		return nil, 0, malformedHeaders(noun)
	}
	return list, body, nil
}

func malformedHeaders(noun string) error {
	return fmt.Errorf("the %s has headers that git would not write; create another", noun)
}

// lineEnd is where the next line begins.
func lineEnd(raw []byte, at int) int {
	if i := bytes.IndexByte(raw[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(raw)
}

// unfold takes the name and the space before each further line off a header.
func unfold(text []byte) []byte {
	_, value, _ := bytes.Cut(text, []byte(" "))
	return bytes.ReplaceAll(value, []byte("\n "), []byte("\n"))
}

var objectHash = regexp.MustCompile(`^[0-9a-f]{40}\n$`)

func hashHeader(name string, text []byte) bool {
	value, ok := bytes.CutPrefix(text, []byte(name+" "))
	return ok && objectHash.Match(value)
}

var personLine = regexp.MustCompile(`^(?:committer|tagger) [^<>\n]*<[^<>\n]*> ([0-9]{1,12}) [+-][0-9]{1,6}\n$`)

func parseTimestamp(noun string, text []byte) (time.Time, error) {
	match := personLine.FindSubmatch(text)
	if match == nil {
		return time.Time{}, fmt.Errorf("the %s does not say who made it and when in git's format; create another", noun)
	}
	seconds, err := strconv.ParseInt(string(match[1]), 10, 64)
	return time.Unix(seconds, 0), err
}

// foreign is what others wrote, as much of it as is worth a place in a message,
// on one line.
func quoteForeign(text string) string {
	const longest = 64
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(text)
	}
	return text
}
