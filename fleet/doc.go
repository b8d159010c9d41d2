// Package fleet is the vocabulary of Tributary: the types that all other packages meet in,
// the interfaces of what surrounds them, and the fold of the change log.
//
// Everything that Tributary serves follows from two things: the snapshots of the fleet repo,
// which a [Source] fetches and a [Renderer] compiles, and the change log, which a [Store]
// keeps. The log is a sequence of [Change] values, and [State] is what they add up to:
//
//	state := fleet.NewState(log)          // as the store has it
//	state = state.Apply(change)           // after one more change
//	release := state.On("edge-1")         // the release that the cluster is on
//
// The package imports nothing else of Tributary, starts no goroutine and takes no lock. It
// knows no SQL, HTTP, Git or kustomize.
package fleet
