package fleet

// What the ExternalService provider of Flux Operator accepts. Clusters would refuse an answer
// beyond these limits, or cut it short and delete what was cut. So nothing beyond them is ever
// released.
const (
	// MaxBody is the largest answer, in bytes after decompression.
	MaxBody = 921_600
	// MaxInputs is the largest number of inputs that spec.filter.limit can admit.
	MaxInputs = 10_000
	// DefaultLimit is spec.filter.limit where the provider sets none. Flux Operator silently
	// cuts the inputs beyond it, and deletes what was made of them.
	DefaultLimit = 100
	// MaxInteger is the largest integer that survives the client's float64.
	MaxInteger = 1<<53 - 1
)
