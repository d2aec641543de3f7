package web

import (
	"net/http"

	"github.com/tandem-auth/tandem/browser"
)

// SDK returns the handler of the SDK for pages without a build step, /sdk/tandem.js, and
// of its source map. Pages of every origin may load both, also with an attribute
// integrity; [browser.Integrity] is its value.
func SDK() http.Handler {
	files := site{
		"/sdk/tandem.js":     newAsset("tandem.js", browser.Script),
		"/sdk/tandem.js.map": newAsset("tandem.js.map", browser.SourceMap),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		files.ServeHTTP(w, r)
	})
}
