// Package signature verifies the signatures of Git commits and tags with OpenPGP
// and SSH keys.
//
//	keys, err := signature.ReadKeys([]string{"signers.asc"})
//	err = keys.VerifyCommit(raw) // raw is the content of the commit object
//
// A nil error means that one of the keys signed exactly these bytes. Otherwise
// the error says, as a sentence about the commit or tag, why it is refused and
// what to do.
//
// The package parses objects byte by byte and accepts only the form that Git
// writes, because a library may repair an unusual object into something that
// was not signed. It runs no program, uses no network, and its errors never
// contain the content of a commit.
package signature
