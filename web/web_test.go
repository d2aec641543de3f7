package web_test

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/browser"
	"github.com/tandem-auth/tandem/web"
)

func get(t *testing.T, method, path string, headers ...string) *http.Response {
	t.Helper()
	req := httptest.NewRequest(method, path, http.NoBody)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	web.TryIt().ServeHTTP(recorder, req)
	return recorder.Result()
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// scripts returns the texts of the page's scripts, by name.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	folder := os.DirFS("try")
	names, err := fs.Glob(folder, "*.js")
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	texts := map[string]string{}
	for _, name := range names {
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}

func TestTryItAnswers(t *testing.T) {
	for _, test := range []struct {
		method, path string
		status       int
		contentType  string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8"},
		{"HEAD", "/", 200, "text/html; charset=utf-8"},
		{"GET", "/try/main.js", 200, "text/javascript; charset=utf-8"},
		{"GET", "/try/style.css", 200, "text/css; charset=utf-8"},
		{"GET", "/try/icon.svg", 200, "image/svg+xml"},
		{"GET", "/login", 302, "text/html; charset=utf-8"},
		{"POST", "/", 405, "text/plain; charset=utf-8"},
		{"DELETE", "/try/main.js", 405, "text/plain; charset=utf-8"},
		{"GET", "/try/", 404, "text/plain; charset=utf-8"},
		{"GET", "/try/index.html", 404, "text/plain; charset=utf-8"},
		{"GET", "/try/../web.go", 404, "text/plain; charset=utf-8"},
		{"GET", "/index.html", 404, "text/plain; charset=utf-8"},
		{"POST", "/nothing", 404, "text/plain; charset=utf-8"},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			resp := get(t, test.method, test.path)
			if resp.StatusCode != test.status {
				t.Errorf("status %d, want %d", resp.StatusCode, test.status)
			}
			if got := resp.Header.Get("Content-Type"); got != test.contentType {
				t.Errorf("Content-Type %q, want %q", got, test.contentType)
			}
			if test.status == 405 && resp.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow %q", resp.Header.Get("Allow"))
			}
			if test.method == "HEAD" && body(t, resp) != "" {
				t.Error("HEAD has a body")
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff",
				"Referrer-Policy":        "no-referrer",
				"Cache-Control":          "no-cache",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A page without a build step asks which script there is, and loads it with its hash from
// an address that browsers need not ask for again.
func TestTheSDKHasAnAddressForEachVersion(t *testing.T) {
	get := func(path string) *http.Response {
		recorder := httptest.NewRecorder()
		web.SDK().ServeHTTP(recorder, httptest.NewRequest("GET", path, http.NoBody))
		return recorder.Result()
	}
	var index struct{ Script, Integrity string }
	resp := get("/sdk/")
	if err := json.Unmarshal([]byte(body(t, resp)), &index); err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Content-Type") != "application/json" || index.Integrity != browser.Integrity() {
		t.Errorf("%s of type %s", index.Integrity, resp.Header.Get("Content-Type"))
	}
	script := get("/sdk/" + index.Script)
	if got := script.Header.Get("Cache-Control"); script.StatusCode != 200 || got != "public, max-age=31536000, immutable" {
		t.Errorf("%s: status %d, Cache-Control %q", index.Script, script.StatusCode, got)
	}
	sum := sha512.Sum384([]byte(body(t, script)))
	if got := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); got != index.Integrity {
		t.Errorf("the script has the hash %s, want %s", got, index.Integrity)
	}
	if got := get("/sdk/tandem.js").Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("an address that changes its content: Cache-Control %q", got)
	}
	if got := get("/sdk/0123456789ab/tandem.js").StatusCode; got != 404 {
		t.Errorf("a version that is not there: %d", got)
	}
}

// A page of another origin loads the script with its hash, which it could not read without
// the server's leave.
func TestTheSDKIsServedWithItsHash(t *testing.T) {
	for path, contentType := range map[string]string{
		"/sdk/tandem.js":     "text/javascript; charset=utf-8",
		"/sdk/tandem.js.map": "application/json",
	} {
		recorder := httptest.NewRecorder()
		web.SDK().ServeHTTP(recorder, httptest.NewRequest("GET", path, http.NoBody))
		resp := recorder.Result()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != contentType || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: status %d, headers %v", path, resp.StatusCode, resp.Header)
		}
		if path != "/sdk/tandem.js" {
			continue
		}
		sum := sha512.Sum384([]byte(body(t, resp)))
		if got := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); got != browser.Integrity() {
			t.Errorf("the served script has the hash %s, not %s", got, browser.Integrity())
		}
	}
}

func TestLoginLeadsToThePage(t *testing.T) {
	if got := get(t, "GET", "/login").Header.Get("Location"); got != "/" {
		t.Errorf("Location %q, want /", got)
	}
}

func TestPolicyAllowsNothingButThePageItself(t *testing.T) {
	directives := map[string]string{}
	for directive := range strings.SplitSeq(get(t, "GET", "/").Header.Get("Content-Security-Policy"), "; ") {
		name, value, _ := strings.Cut(directive, " ")
		directives[name] = value
	}
	want := map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'", "img-src": "'self'",
		"base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
	}
	if !maps.Equal(directives, want) {
		t.Errorf("directives %v, want %v", directives, want)
	}
}

func TestUnchangedFilesAreNotSentAgain(t *testing.T) {
	first := get(t, "GET", "/try/main.js")
	etag := first.Header.Get("ETag")
	if etag == "" || body(t, first) == "" {
		t.Fatal("no ETag or no body")
	}
	again := get(t, "GET", "/try/main.js", "If-None-Match", etag)
	if again.StatusCode != http.StatusNotModified || body(t, again) != "" {
		t.Errorf("status %d, want 304 without a body", again.StatusCode)
	}
	if other := get(t, "GET", "/").Header.Get("ETag"); other == etag {
		t.Error("two files with one ETag")
	}
}

// The policy would block all of these in silence.
func TestPageHasNothingInline(t *testing.T) {
	page := body(t, get(t, "GET", "/"))
	for what, pattern := range map[string]string{
		"script":         `(?i)<script[^>]*>\s*[^<\s]`,
		"script, no src": `(?i)<script(\s+type="[^"]*")?\s*>`,
		"style":          `(?i)<style|\sstyle\s*=`,
		"handler":        `(?i)<[^>]*\son[a-z]+\s*=`,
		"javascript:":    `(?i)javascript:`,
		"another host":   `(?i)(src|href)="(https?:)?//`,
	} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("inline %s: %q", what, found)
		}
	}
}

func TestPageAndScriptsFindTheirFiles(t *testing.T) {
	references := regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(body(t, get(t, "GET", "/")), -1)
	for name, text := range scripts(t) {
		for _, imported := range regexp.MustCompile(`from "\.(/[^"]*)"`).FindAllStringSubmatch(text, -1) {
			references = append(references, []string{name, "/try" + imported[1]})
		}
	}
	if len(references) < 10 {
		t.Fatalf("only %d references found: has their form changed?", len(references))
	}
	for _, reference := range references {
		if strings.HasPrefix(reference[1], "/sdk/") {
			continue // which is another handler's
		}
		if status := get(t, "GET", reference[1]).StatusCode; status != http.StatusOK {
			t.Errorf("%s: %s is answered with %d", reference[0], reference[1], status)
		}
	}
}

func TestScriptsFindTheirElements(t *testing.T) {
	ids := map[string]bool{}
	for _, id := range regexp.MustCompile(`\sid="([^"]+)"`).FindAllStringSubmatch(body(t, get(t, "GET", "/")), -1) {
		if ids[id[1]] {
			t.Errorf("id %q is there twice", id[1])
		}
		ids[id[1]] = true
	}
	for _, wanted := range regexp.MustCompile(`\$\("([^"]+)"\)`).FindAllStringSubmatch(scripts(t)["main.js"], -1) {
		if !ids[wanted[1]] {
			t.Errorf("main.js wants #%s, which is not there", wanted[1])
		}
	}
}

// messages returns the texts by key and language.
func messages(t *testing.T) map[string]map[string]string {
	t.Helper()
	_, rest, ok := strings.Cut(scripts(t)["i18n.js"], "const messages = {")
	table, _, closed := strings.Cut(rest, "\n};")
	if !ok || !closed {
		t.Fatal("i18n.js has no table of messages")
	}
	found := map[string]map[string]string{}
	for _, entry := range regexp.MustCompile(`"([\w.]+)":\s*\{([^\n]*|\n(?s:.*?)\n {2})\},\n`).FindAllStringSubmatch(table+"\n", -1) {
		if found[entry[1]] != nil {
			t.Errorf("key %q is there twice", entry[1])
		}
		found[entry[1]] = map[string]string{}
		for _, text := range regexp.MustCompile(`\b(en|zh): "((?:[^"\\]|\\.)*)"`).FindAllStringSubmatch(entry[2], -1) {
			found[entry[1]][text[1]] = text[2]
		}
	}
	if want := strings.Count(table, " en: "); len(found) != want || want < 50 {
		t.Fatalf("%d keys found, but %d English texts", len(found), want)
	}
	return found
}

func TestEveryTextIsInBothLanguages(t *testing.T) {
	placeholder := regexp.MustCompile(`\{\w+\}`)
	placeholders := func(text string) []string {
		return slices.Compact(slices.Sorted(slices.Values(placeholder.FindAllString(text, -1))))
	}
	chinese := regexp.MustCompile(`\p{Han}`)
	for key, texts := range messages(t) {
		if key == "short.tandem" {
			continue // a name
		}
		if texts["en"] == "" || !chinese.MatchString(texts["zh"]) {
			t.Errorf("%s is not in both languages: %q", key, texts)
		}
		if en, zh := placeholders(texts["en"]), placeholders(texts["zh"]); !slices.Equal(en, zh) {
			t.Errorf("%s has %v in English but %v in Chinese", key, en, zh)
		}
		if chinese.MatchString(texts["en"]) {
			t.Errorf("%s has Chinese in its English text", key)
		}
	}
}

func TestEveryKeyHasATextAndEveryTextAUse(t *testing.T) {
	known := messages(t)
	texts := scripts(t)
	delete(texts, "i18n.js")
	texts["index.html"] = body(t, get(t, "GET", "/"))

	for name, text := range texts {
		for _, use := range []struct{ pattern, group string }{
			{`data-i18n(?:-label)?="([^"]*)"`, ""},
			{`\bt\("([^"]*)"`, ""},
			{`key: "([^"]*)"`, ""},
			{`\bnote\([\w"]+, "([^"]*)"`, "event."},
		} {
			for _, key := range regexp.MustCompile(use.pattern).FindAllStringSubmatch(text, -1) {
				if known[use.group+key[1]] == nil {
					t.Errorf("%s wants the text %q, which is not there", name, use.group+key[1])
				}
			}
		}
	}

	all := strings.Join(slices.Collect(maps.Values(texts)), "\n")
	for key := range known {
		group, _, _ := strings.Cut(key, ".")
		last := key[strings.LastIndex(key, ".")+1:]
		var used bool
		switch group {
		case "ended": // the server's word
			used = true
		case "event", "timeline", "do", "about", "short": // with a part of the key from elsewhere
			used = regexp.MustCompile(`\b` + last + `\b`).MatchString(all)
		default:
			used = strings.Contains(all, `"`+key+`"`)
		}
		if !used {
			t.Errorf("nothing uses the text %q", key)
		}
	}
}

// A reader who runs without scripts, or sees the page before they run, reads the
// same English.
func TestEnglishInThePageIsThatOfTheTable(t *testing.T) {
	known := messages(t)
	for _, element := range regexp.MustCompile(`data-i18n="([^"]+)"[^>]*>([^<]*)<`).FindAllStringSubmatch(body(t, get(t, "GET", "/")), -1) {
		if element[2] != "" && element[2] != known[element[1]]["en"] {
			t.Errorf("%s is %q in the page but %q in the table", element[1], element[2], known[element[1]]["en"])
		}
	}
}
