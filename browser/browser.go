// Package browser has the SDK for browsers as one script: the npm package
// @tandem-auth/browser, whose sources are in this folder, for pages without a build step.
package browser

import (
	"crypto/sha512"
	_ "embed"
	"encoding/base64"
)

// Script is dist/tandem.js. It sets the global tandem, which has the exports of the npm
// package: tandem.createAuth and others.
//
//go:embed dist/tandem.js
var Script []byte

// SourceMap is dist/tandem.js.map, to which the last line of Script refers.
//
//go:embed dist/tandem.js.map
var SourceMap []byte

// Integrity returns the hash of Script for the attribute integrity of a script element
// (Subresource Integrity).
func Integrity() string {
	sum := sha512.Sum384(Script)
	return "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}
