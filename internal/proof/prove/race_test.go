//go:build race

package prove_test

// raced says that the race detector is on: a search takes fifteen times as long then. One
// small world of each kind shows the detector what the workers do.
const raced = true
