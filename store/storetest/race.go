//go:build race

package storetest

// slowness is about how much longer everything takes with the race detector.
const slowness = 10
