// Package web has the pages that the server shows.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed try
var files embed.FS

const (
	folder = "try"
	index  = "index.html"
)

// policy lets the page load what lies beside it, talk to its own server, and
// nothing else.
var policy = strings.Join([]string{
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self'",
	"connect-src 'self'",
	"img-src 'self'",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'",
}, "; ")

// TryIt returns the handler of the page on which a newcomer watches tokens run
// out: the page itself at /, its parts under /try/, and /login, which leads to
// the page. All else is answered with 404, methods other than GET and HEAD with
// 405.
//
// The page expects the endpoints of package server, and GET /api/hello?n=1
// behind its guard, at the same origin.
func TryIt() http.Handler {
	entries, err := files.ReadDir(folder)
	if err != nil {
		panic(err) // the folder is part of the program
	}
	pages := map[string]http.Handler{
		"/login": http.RedirectHandler("/", http.StatusFound),
	}
	for _, entry := range entries {
		body, err := files.ReadFile(path.Join(folder, entry.Name()))
		if err != nil {
			panic(err)
		}
		where := "/" + folder + "/" + entry.Name()
		if entry.Name() == index {
			where = "/"
		}
		pages[where] = newAsset(entry.Name(), body)
	}
	return site(pages)
}

// A site has a handler for each path.
type site map[string]http.Handler

func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-cache")

	page, ok := s[r.URL.Path]
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed", http.StatusMethodNotAllowed)
	default:
		page.ServeHTTP(w, r)
	}
}

// An asset is a file as it is served.
type asset struct {
	contentType, etag string
	body              []byte
}

func newAsset(name string, body []byte) *asset {
	sum := sha256.Sum256(body)
	return &asset{
		contentType: contentType(name),
		etag:        `"` + hex.EncodeToString(sum[:12]) + `"`,
		body:        body,
	}
}

// contentType does not ask the machine for what it cannot do without.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json", ".map":
		return "application/json"
	default:
		return mime.TypeByExtension(ext)
	}
}

func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("ETag", a.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}
