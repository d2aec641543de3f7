// Package exactpath is for handlers that answer a path as the client wrote it.
//
// [http.ServeMux] redirects a request for a path such as //auth/login to the path in its
// shortest form, with status 307: a client that follows sends its body, and a password in
// it, once more. Such a client has joined a base URL and a path wrongly, and should learn
// of it.
package exactpath

import (
	"path"
	"strings"
)

// IsShortest reports whether a path begins with a slash and has no empty elements, "." or
// "..", so that [http.ServeMux] does not redirect it for those. It may end in a slash.
func IsShortest(p string) bool {
	if p != "/" {
		p = strings.TrimSuffix(p, "/")
	}
	return strings.HasPrefix(p, "/") && path.Clean(p) == p
}
