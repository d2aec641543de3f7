package sidecar

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/retryafter"
)

// answer writes the answer that tells the program why the proxy has none from the target.
func answer(w http.ResponseWriter, r *http.Request, err error) {
	var (
		once      *tandem.BodyNotReplayableError
		ended     *tandem.EndedError
		other     *tandem.OtherServerError
		temporary *tandem.TemporaryError
	)
	switch {
	case errors.Is(err, errElsewhere):
		write(w, http.StatusBadGateway, "redirect_elsewhere", "the target has redirected to another place, and a program that follows takes the secret in its header along: put the secret into the path instead")
	case errors.As(err, &once): // the session has a fresh token now: the program's own retry works
		forward(w, r, once.Response)
	case errors.As(err, &ended):
		write(w, http.StatusUnauthorized, "session_ended", "the session has ended ("+string(ended.Reason)+"): run tandem login, and go on")
	case errors.Is(err, tandem.ErrNotSignedIn):
		write(w, http.StatusUnauthorized, "not_signed_in", "nobody is signed in: run tandem login, and go on")
	case errors.As(err, &other):
		write(w, http.StatusUnauthorized, "other_server", "somebody has signed in at "+other.Have+" in the profile of this proxy, which is for "+other.Want+
			": sign in there again, and go on, or start another tandem proxy")
	case errors.As(err, &temporary):
		w.Header().Set(retryafter.Name, retryafter.Format(time.Until(temporary.RetryAt)))
		write(w, http.StatusServiceUnavailable, "temporarily_unavailable", "no access token just now, the session lives on: try again")
	default:
		write(w, http.StatusBadGateway, "bad_gateway", "the target could not be reached")
	}
}

func refuse(w http.ResponseWriter) {
	write(w, http.StatusForbidden, "forbidden", "the first element of the path, or the header "+SecretHeader+", must be the secret that tandem proxy has printed")
}

// forward writes the target's answer out of a [tandem.BodyNotReplayableError], which
// ReverseProxy treats as a failed request.
func forward(w http.ResponseWriter, r *http.Request, resp *http.Response) {
	readers(resp.Header, visitOf(r.Context()))
	header := w.Header()
	header["Content-Type"] = nil
	for name, values := range resp.Header {
		switch name {
		case "Connection", "Keep-Alive", "Upgrade", "Content-Length": // the session may have cut the body short
		default:
			header[name] = append(header[name], values...)
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func write(w http.ResponseWriter, status int, code, description string) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
}
