// Package git reads one commit of a Git repository, over https, http, ssh or
// from this machine.
//
//	repository, err := git.New(git.Config{URL: u, Ref: ref, Limits: limits})
//	defer repository.Close()
//	snapshot, err := repository.Fetch(ctx, known)
//
// Fetch lists the refs of the server, and asks for a pack only if the wanted ref
// has moved. The pack is read into a temporary file, bounded in size, and the
// tree is built from it in memory. There is no clone.
//
// go-git encodes and decodes the protocol and the objects. The connections are
// the package's own, so that a fetch ends with its context wherever the host
// hangs.
package git
