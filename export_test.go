package tandem

// What tests of the network need to see.
const (
	MaxDrain  = maxDrain
	MaxBuffer = maxBuffer
)
