package fleet

import "time"

// Commit is what the source says about a revision: of a Git commit its author and message, of an
// artifact its annotations. Fields that the source does not have are zero.
type Commit struct {
	// Author is a name, with an address such as Ada <ada@example.com>.
	Author string `json:"author,omitempty"`
	// At is when the author made it.
	At time.Time `json:"at,omitzero"`
	// Subject is the first line of the message.
	Subject string `json:"subject,omitempty"`
	// Approves are the digests of impacts that its trailers approve.
	Approves []string `json:"approves,omitempty"`
}

// ApproveTrailer is the key of the trailer by which a commit approves its own impact, where the
// guard allows that: Tributary-Approve: sha256:<64 hex>. Annotations of artifacts have the same key.
const ApproveTrailer = "Tributary-Approve"
