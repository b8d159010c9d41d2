// Package sources reads fleet repos from where they live: a Git repository or
// a local directory. Each source gives the tree of files at a revision, in
// memory and immutable, so that everything after it is pure and what is being
// served cannot be taken away by a force-push or a lost disk.
//
// What it reads is untrusted: sizes and counts are bounded, nothing outside the
// tree can be reached through it, and nothing in it is ever executed. It never
// looks at what the files say, and never writes to a source.
package sources
