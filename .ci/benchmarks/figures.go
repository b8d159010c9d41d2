package main

// figures are the rows of the table, in the order of the page: first those of a fleet of
// 10,000 clusters, then those of smaller ones.
var figures = []figure{
	{"a commit to the base, from the webhook to every answer", "", "BaseCommit", "s", "%s s", 0, 0.6},
	{"the same", "`kustomize build` of every cluster, one after another", "BaseCommit", "kustomize-ratio", "%s times as fast", 2_000, 0},
	{"the same", "`krusty` in process, the same way", "BaseCommit", "krusty-ratio", "%s times as fast", 100, 0},
	{"a commit to one cluster's file, from the look until it is live", "", "ClusterCommit", "ms", "%s ms", 0, 60},
	{"the same", "the same commit with nothing to reuse", "ClusterCommit", "ratio", "%s times as fast", 0, 0},
	{"one cluster's delta, durable and visible, without HTTP", "a bare transaction of the same rows", "PatchAmongTenThousand", "ratio", "%s times as long", 0, 2},
	{"the same over HTTP, at p99", "", "DeltaOverHTTP", "p99-ms", "%s ms", 0, 15},
	{"the same while commits to the base are rendered, at p99", "", "DeltaOverHTTP", "rendering-p99-ms", "%s ms", 0, 15},
	{"a group delta over a third of the fleet", "", "GroupDeltaOverAThird", "ms", "%s ms", 0, 150},
	{"a wave of 5,000 clusters, from the append until it is published", "", "DecisionsOverTenThousand", "wave-commit-ms", "%s ms", 0, 150},
	{"the abort of that wave", "", "DecisionsOverTenThousand", "abort-commit-ms", "%s ms", 0, 150},
	{"a pin of all clusters", "", "DecisionsOverTenThousand", "pin-commit-ms", "%s ms", 0, 150},
	{"the end of that pin", "", "DecisionsOverTenThousand", "unpin-commit-ms", "%s ms", 0, 150},
	{"poll, keep-alive, with a token, compressed", "`net/http` with the same headers and constant bytes", "Poll", "ratio", "%s of its rate", 0.85, 0},
	{"the same", "nginx with `gzip_static`", "PollAgainstNginx", "ratio", "%s of its rate", 0.7, 0},
	{"poll over a new TLS connection each time", "`net/http` with TLS and constant bytes", "PollOverNewTLS", "ratio", "%s of its rate", 0.9, 0},
	{"polls while a release that changes one cluster is swapped in every second, at p99", "the same without", "PollsWhileReleasesSwap", "one-ratio", "%s times as long", 0, 2},
	{"the same, and every release changes every cluster", "the same without", "PollsWhileReleasesSwap", "base-ratio", "%s times as long", 0, 2},
	{"resident memory, every poll of every cluster answered", "", "Memory", "MB", "%s MB", 0, 250},
	{"the same", "bytes of the distinct inputs", "Memory", "ratio", "%s times as much", 0, 0},
	{"resident memory of each further cluster", "", "Memory", "KB/cluster", "%s KB", 0, 15},
	{"start of a server until it is ready, with 10,000 deltas", "", "ColdStart", "s", "%s s", 0, 3},
	{"a write on one server, seen on another, at p99", "", "WriteSeenByTheOtherServer", "p99-ms", "%s ms", 0, 100},

	{"rendering a cluster with two patches on a stack of 30 objects", "`krusty` on the same cluster", "ClusterAgainstKrusty", "ratio", "%s times as fast", 20, 0},
	{"a commit of one file in a Git repository of 10,000", "`git fetch --depth 1`", "GitFetchChange", "x/git", "%s times as long", 0, 2},
	{"first fetch of an OCI artifact of 10,000 files", "`oras pull`, into memory", "OCIFetch", "x/oras", "%s times as long", 0, 1.2},
	{"peak memory of that fetch", "the size of the tree", "OCIFetchPeakMemory", "peak/tree", "%s times as much", 0, 4},
	{"peak memory of the first fetch of that Git repository", "the size of the tree", "GitFetchPeakMemory", "peak/tree", "%s times as much", 0, 4},
	{"a patch on a fleet of 1,000 clusters, durable and visible", "a bare transaction of the same rows", "PatchAgainstBareTransaction", "ratio", "%s times as long", 0, 3},
	{"a group delta over 300 clusters of 1,000", "", "GroupDelta", "ms", "%s ms", 0, 100},
	{"a push to served inputs, 100 clusters", "", "WebhookToServed", "ms", "%s ms", 0, 1_000},
}
