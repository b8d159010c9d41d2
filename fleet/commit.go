package fleet

import (
	"cmp"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Commit is what the source says about a revision: of a Git commit its author and message, of an
// artifact its annotations. Fields that the source does not have are zero.
type Commit struct {
	// Author is a name, with an address such as Ada <ada@example.com>.
	Author string `json:"author,omitempty"`
	// At is when the author made it.
	At time.Time `json:"at,omitzero"`
	// Subject is the first line of the message.
	Subject string `json:"subject,omitempty"`
	// URL is where it can be looked at, if fleet.yaml says how.
	URL string `json:"url,omitempty"`
	// Approves are the digests of impacts that its trailers approve.
	Approves []string `json:"approves,omitempty"`
}

// ApproveTrailer is the key of the trailer by which a commit approves its own impact, where the
// guard allows that: Tributary-Approve: sha256:<64 hex>. Annotations of artifacts have the same key.
const ApproveTrailer = "Tributary-Approve"

// CommitPlaceholder is what the ID of a commit replaces in the template of spec.source.commitURL.
const CommitPlaceholder = "{commit}"

// Linked returns the commit of a revision with a URL made of a template. It is the commit as it is where
// the template is empty, or the revision names no commit or digest. It may be nil.
func (c *Commit) Linked(template, revision string) *Commit {
	_, version, _ := strings.Cut(revision, "@")
	kind, id, _ := strings.Cut(version, ":")
	if template == "" || id == "" || strings.HasPrefix(revision, "local@") {
		return c
	}
	if kind != "sha1" {
		id = version // a digest is not complete without its algorithm
	}
	linked := *cmp.Or(c, &Commit{})
	linked.URL = strings.ReplaceAll(template, CommitPlaceholder, url.PathEscape(id))
	return &linked
}

// LogValue returns the commit as a group of attributes for a log; an empty group, which is left out, for nil.
func (c *Commit) LogValue() slog.Value {
	var attributes []slog.Attr
	if c != nil {
		for _, a := range []slog.Attr{slog.String("author", c.Author), slog.String("subject", c.Subject), slog.String("url", c.URL)} {
			if a.Value.String() != "" {
				attributes = append(attributes, a)
			}
		}
		if !c.At.IsZero() {
			attributes = append(attributes, slog.Time("at", c.At))
		}
	}
	return slog.GroupValue(attributes...)
}
