package tandem

// What tests of the network need to set or to see.
var (
	BoundedTransport = boundedTransport
	DefaultTransport = defaultTransport
)

const (
	MaxSilence = maxSilence
	MaxDrain   = maxDrain
	MaxBuffer  = maxBuffer
)
