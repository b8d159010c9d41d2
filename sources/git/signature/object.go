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
	// maxObjectHeaders is the maximum number of headers after the committer.
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

// The headers that Git and other tools find by their position. commitStart also
// matches what may follow, and tagStart all headers of a tag: Git would remove
// signature headers from a tag.
var (
	commitStart = regexp.MustCompile(`^tree [0-9a-f]{40}\n(?:parent [0-9a-f]{40}\n)*author [^\n]*\ncommitter ` + person)
	tagStart    = regexp.MustCompile(`^object [0-9a-f]{40}\ntype [^\n]*\ntag [^\n]*\ntagger ` + person + `(?:\n|$)`)
)

const person = `[^<>\n]*<[^<>\n]*> ([0-9]{1,12}) [+-][0-9]{1,6}\n`

// begin returns the end of the headers that an object must begin with.
func (o *signedObject) begin(noun string, raw []byte, start *regexp.Regexp, headers string) (int, error) {
	if len(raw) > maxSignedObject {
		return 0, fmt.Errorf("the %s is larger than %d MiB; create a smaller one", noun, maxSignedObject>>20)
	}
	at := start.FindSubmatchIndex(raw)
	if at == nil {
		return 0, fmt.Errorf("the %s does not begin with %s, so its signature has no meaning; create another", noun, headers)
	}
	seconds, err := strconv.ParseInt(string(raw[at[2]:at[3]]), 10, 64)
	o.createdAt = time.Unix(seconds, 0)
	return at[1], err
}

// splitCommit separates a commit's signature from its headers, as Git does. Git
// excludes every header whose name begins with gpgsig from the payload, so
// anyone could add such headers. Only the two that Git writes are accepted,
// once each, and only after the headers that are found by their position.
func splitCommit(raw []byte) (*signedObject, error) {
	o := &signedObject{}
	at, err := o.begin("commit", raw, commitStart, "one tree, its parents, one author and one committer")
	if err != nil {
		return nil, err
	}
	o.payload = append(make([]byte, 0, len(raw)), raw[:at]...)
	seen := map[string]bool{}
	for count := 0; at < len(raw) && raw[at] != '\n'; count++ {
		header, name := nextHeader(raw[at:])
		at += len(header)
		switch {
		case bytes.HasPrefix(header, []byte(" ")), bytes.IndexByte(header, 0) >= 0, count == maxObjectHeaders,
			name == "tree", name == "parent", name == "author", name == "committer":
			return nil, errors.New("the commit has headers that git would not write; create another")
		case !strings.HasPrefix(name, "gpgsig"):
			o.payload = append(o.payload, header...)
			continue
		case name != "gpgsig" && name != "gpgsig-sha256", !bytes.HasPrefix(header[len(name):], []byte(" ")):
			return nil, fmt.Errorf("the commit has a header %s, which no signature covers; create a commit without it", quoteForeign(name))
		case seen[name]:
			return nil, errors.New("the commit has more than one signature; sign it once")
		case name == "gpgsig":
			o.signature = bytes.ReplaceAll(header[len("gpgsig "):], []byte("\n "), []byte("\n"))
		}
		seen[name] = true
	}
	if bytes.IndexByte(o.payload, 0) >= 0 {
		return nil, errors.New("the commit has headers that git would not write; create another")
	}
	o.payload = append(o.payload, raw[at:]...)
	return o, nil
}

// nextHeader returns the header at the beginning, with its continuation lines,
// and its name.
func nextHeader(raw []byte) (header []byte, name string) {
	end := lineEnd(raw, 0)
	line, _, _ := bytes.Cut(bytes.TrimSuffix(raw[:end], []byte("\n")), []byte(" "))
	for end < len(raw) && raw[end] == ' ' {
		end = lineEnd(raw, end)
	}
	return raw[:end], string(line)
}

// signatureBegins are the lines that Git regards as the start of a signature.
var signatureBegins = [][]byte{
	[]byte(beginOpenPGP), []byte(beginSSH), []byte(beginX509), []byte("-----BEGIN PGP MESSAGE-----"),
}

// splitTag splits a tag at its signature, which is the last block that looks
// like one, as in Git.
func splitTag(raw []byte) (*signedObject, error) {
	o := &signedObject{payload: raw}
	body, err := o.begin("tag", raw, tagStart, "one object, its type, the tag's name and the tagger")
	if err == nil && bytes.IndexByte(raw[:body], 0) >= 0 {
		err = errors.New("the tag has headers that git would not write; create another")
	}
	if err != nil {
		return nil, err
	}
	for at := body; at < len(raw); at = lineEnd(raw, at) {
		if slices.ContainsFunc(signatureBegins, func(begin []byte) bool { return bytes.HasPrefix(raw[at:], begin) }) {
			o.payload, o.signature = raw[:at], raw[at:]
		}
	}
	return o, nil
}

// lineEnd returns the start of the next line.
func lineEnd(raw []byte, at int) int {
	if i := bytes.IndexByte(raw[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(raw)
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
