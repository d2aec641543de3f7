//go:build !race

package prove_test

const raced = false
