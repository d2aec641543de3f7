package tandem

// What tests of the network need to see.
var DefaultTransport = defaultTransport

const (
	MaxDrain  = maxDrain
	MaxBuffer = maxBuffer
)
