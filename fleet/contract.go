package fleet

// What Flux Operator's ExternalService provider accepts. An answer beyond it
// would be refused by every cluster, or cut short and the rest deleted, so
// nothing beyond it is ever released.
const (
	// MaxBody is the largest answer, in bytes after decompression.
	MaxBody = 921_600
	// MaxInputs is the largest number of inputs that spec.filter.limit can admit.
	MaxInputs = 10_000
	// DefaultLimit is spec.filter.limit where the provider sets none: further
	// inputs are cut silently and what they stood for is deleted.
	DefaultLimit = 100
	// MaxInteger is the largest integer that survives the client's float64.
	MaxInteger = 1<<53 - 1
)
