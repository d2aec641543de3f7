package keyringstore

import "time"

// OpenWithin is [Open] with other limits.
func OpenWithin(service, user string, answer, prompt time.Duration) (*Store, error) {
	return open(service, user, limits{answer: answer, prompt: prompt})
}
