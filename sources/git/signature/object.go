package signature

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
	// maxObjectHeaders limits the number of headers, so that parsing them costs
	// no more memory than the object. Each parent is a header.
	maxObjectHeaders = 4096
)

// signedObject is a commit or tag, split into its original bytes. Decoding and
// encoding an object would lose what the decoder does not keep, and the
// signature must be verified over exactly the bytes that were hashed.
type signedObject struct {
	// payload is the signed content, and signature the armored block.
	payload, signature []byte
	// createdAt is the time that the committer or tagger claims.
	createdAt time.Time
}

// splitCommit separates a commit's signature from its headers, as Git does. Git
// excludes every header whose name begins with gpgsig from the payload, so
// anyone could add such headers. Only the two that Git writes are accepted,
// once each, and only after the headers that Git and other tools find by their
// position.
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

// findCommitter returns the committer header. ok is false if a required header
// is missing, repeated or misplaced.
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

// signatureBegins are the lines that Git regards as the start of a signature.
var signatureBegins = [][]byte{
	[]byte(beginOpenPGP), []byte(beginSSH), []byte(beginX509), []byte("-----BEGIN PGP MESSAGE-----"),
}

// splitTag splits a tag at its signature, which is the last block that looks
// like one, as in Git.
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

// findTagger does for a tag what findCommitter does for a commit. It accepts no
// other headers, because Git also removes signature headers from a tag.
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

// objectHeader is a header with its continuation lines.
type objectHeader struct {
	name       []byte
	start, end int
}

func (h objectHeader) text(raw []byte) []byte { return raw[h.start:h.end] }

// objectHeaders returns the headers. body is the position of the blank line
// that ends them.
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

// lineEnd returns the start of the next line.
func lineEnd(raw []byte, at int) int {
	if i := bytes.IndexByte(raw[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(raw)
}

// unfold removes the name of a header and the space before each continuation
// line.
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

// quoteForeign returns a text from elsewhere for use in a message: shortened
// and on one line.
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
