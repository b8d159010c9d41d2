// Package flags has the groups of flags, and the kinds of flag values, that are more than a plain
// variable: names, objects and changes to them, times, the clusters of a delta, limits and logs.
//
//	var log flags.Log
//	log.Bind(cmd.Flags())
//	logger, err := log.Logger(os.Stderr)
//
// The flags that name the server to talk to are in package remote.
package flags
