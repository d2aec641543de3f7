package web

import (
	"encoding/json"
	"net/http"

	"github.com/tandem-auth/tandem/browser"
)

// versionLen is how many characters of the script's hash name its version in addresses.
const versionLen = 12

// SDK returns the handler of the SDK for pages without a build step: of /sdk/tandem.js,
// which changes with the server, and of the same script at an address that has its version
// and may be cached for ever. /sdk/ answers, in JSON, with that address, relative to its
// own, and with the script's hash for the attribute integrity ([browser.Integrity]). Pages
// of every origin may load all of it.
func SDK() http.Handler {
	script, sourceMap := newAsset("tandem.js", browser.Script), newAsset("tandem.js.map", browser.SourceMap)
	version := script.etag[1 : 1+versionLen] // behind the quote
	files := site{
		"/sdk/":                              newAsset("index.json", sdkIndex(version+"/tandem.js")),
		"/sdk/tandem.js":                     script,
		"/sdk/tandem.js.map":                 sourceMap,
		"/sdk/" + version + "/tandem.js":     cachedForEver(script),
		"/sdk/" + version + "/tandem.js.map": cachedForEver(sourceMap),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		files.ServeHTTP(w, r)
	})
}

// sdkIndex describes the script in JSON.
func sdkIndex(script string) []byte {
	text, err := json.MarshalIndent(struct {
		Script    string `json:"script"`
		Integrity string `json:"integrity"`
	}{script, browser.Integrity()}, "", "  ")
	if err != nil {
		panic(err) // two strings can be marshalled
	}
	return append(text, '\n')
}

// cachedForEver serves a file whose address changes with its content.
func cachedForEver(file http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		file.ServeHTTP(w, r)
	})
}
