package server

import (
	"strconv"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3): whether the client takes
// gzip, and does not like the plain form better. What it garbles it does not get.
func takesGzip(header []string) bool {
	if len(header) == 1 && header[0] == "gzip" {
		return true // what Flux and Go send
	}
	gzip, identity, rest := -1.0, -1.0, -1.0 // -1: not mentioned
	for _, line := range header {
		for item := range strings.SplitSeq(line, ",") {
			coding, parameters, _ := strings.Cut(item, ";")
			switch coding = strings.TrimSpace(coding); {
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				gzip = quality(parameters)
			case strings.EqualFold(coding, "identity"):
				identity = quality(parameters)
			case coding == "*":
				rest = quality(parameters)
			}
		}
	}
	if gzip < 0 {
		gzip = rest
	}
	return gzip > 0 && gzip >= identity
}

// quality is the weight in parameters: 1 where there is none, 0 where it is no
// number between 0 and 1.
func quality(parameters string) float64 {
	parameters = strings.TrimSpace(parameters)
	if parameters == "" {
		return 1
	}
	key, value, _ := strings.Cut(parameters, "=")
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err == nil && strings.EqualFold(strings.TrimSpace(key), "q") && q >= 0 && q <= 1 {
		return q
	}
	return 0
}

// match reads If-None-Match (RFC 9110, 13.1.2): whether the client holds the
// body in either form, and the tag under which it does, which is own for `*`.
// Comparison is weak, as that header wants it.
func match(header []string, own string, body *fleet.Body) (tag string, matches bool) {
	for _, line := range header {
		if strings.TrimSpace(line) == "*" {
			return own, true
		}
		for tag, rest := nextTag(line); tag != ""; tag, rest = nextTag(rest) {
			if tag == body.ETag() || tag == body.GzipETag() {
				return tag, true
			}
		}
	}
	return "", false
}

// nextTag cuts the first entity tag off a list, without its W/; "" at the end of
// the list or of what can be read of it. Tags may contain commas.
func nextTag(list string) (tag, rest string) {
	list = strings.TrimPrefix(strings.TrimLeft(list, ", \t"), "W/")
	if !strings.HasPrefix(list, `"`) {
		return "", ""
	}
	end := strings.IndexByte(list[1:], '"')
	if end < 0 {
		return "", ""
	}
	return list[:end+2], list[end+2:]
}
