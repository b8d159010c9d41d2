// Package sources reads fleet repos from a Git repository, an OCI artifact or a
// local directory, and pushes a directory as an OCI artifact.
//
// Open parses a SOURCE, the reference that users write, and returns a Source.
// Fetch returns the tree of files at the newest revision, or nil if the caller
// already has it:
//
//	source, err := sources.Open("https://host/repo.git?ref=main", sources.Options{})
//	defer source.Close()
//	snapshot, err := source.Fetch(ctx, known)
//	data, err := fs.ReadFile(snapshot.Tree, "fleet.yaml")
//
// A snapshot is an immutable fs.FS in memory. It stays readable after a
// force-push, an outage or the end of its source.
//
// What the package reads is untrusted: Limits bound its size and number of
// files, no path leads out of the tree, and nothing in it is executed. The
// package never interprets the content of files, and Fetch never writes to a
// source.
package sources
