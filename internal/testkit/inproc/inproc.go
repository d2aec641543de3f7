// Package inproc carries requests to a handler of the same process, without a
// network: in a testing/synctest bubble, a network's goroutines would keep time
// from passing.
package inproc

import (
	"net/http"
	"net/http/httptest"
)

// A Transport is a round tripper in front of a handler. Cancelling a request's
// context makes the round trip fail at once; the handler sees it too.
type Transport struct{ Handler http.Handler }

// RoundTrip calls the handler in a goroutine, which may outlive a cancelled
// request for as long as the handler takes.
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	served := make(chan *http.Response, 1)
	inbound := req.Clone(req.Context())
	inbound.RequestURI = req.URL.RequestURI()
	inbound.RemoteAddr = "127.0.0.1:1"
	if inbound.Host == "" {
		inbound.Host = req.URL.Host
	}
	if inbound.Body == nil {
		inbound.Body = http.NoBody
	}
	go func() {
		recorder := httptest.NewRecorder()
		t.Handler.ServeHTTP(recorder, inbound)
		_ = inbound.Body.Close()
		served <- recorder.Result()
	}()
	select {
	case resp := <-served:
		resp.Request = req
		return resp, nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}
