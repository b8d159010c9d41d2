// Package polls records which cluster polled which input set when, and when each token was last
// used. Many servers may answer one cluster: each keeps what it answered itself, saves that now
// and then in a [fleet.PollStore], and takes up what the others saved.
//
//	t := polls.New(store)
//	_ = t.MergeSaved(ctx, nil)                           // at start: what is known from before
//	t.Record(fleet.Poll{Cluster: "edge-1", Set: "apps"})  // on each poll
//	_ = t.Save(ctx)                                      // every SaveInterval
//	last, err := t.Last(ctx, []string{"edge-1"})         // by cluster, from all servers
//	if err == nil && polls.HavePolled(last["edge-1"], isServed, release, generation) { ... }
//
// Record and Touch are on the path of every poll: they take no lock and do not use the store.
//
// The package starts no goroutine, retries nothing and logs nothing. Methods that use the store
// take a context, and the caller bounds it: an answer to a person waits a second or two for what
// other servers know, and Save may take as long as any write. A nil store is allowed: the
// methods then know this server's polls alone.
package polls
