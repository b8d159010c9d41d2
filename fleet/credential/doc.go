// Package credential has the rules about bearer tokens: how they are created and revoked, how a
// booting cluster exchanges one for its own, and which clusters a limited one may change.
//
// A [Set] is the tokens of the change log at one moment. Every rule is a function of it and the
// time, and returns the changes to append to the log:
//
//	set := credential.NewSet(log.Tokens)
//	made, change, err := credential.Request{Name: "ci", Role: fleet.RoleOperator}.New(set, "ada", now)
//	...                                     // append the change, then show made.Secret this once
//	set = set.Apply([]fleet.TokenChange{change})
//	token := set.Find(fleet.HashToken(sent)) // nil where nobody has that token
//
// [Registration.Decide] does the same for a cluster that registers itself.
//
// The package keeps no state, appends nothing and knows no HTTP. The log has the hash of a token
// and never the token itself.
package credential
