// Package inproc passes requests to a handler in the same process without a network: in
// a testing/synctest bubble, goroutines that wait for a network would stop the clock.
package inproc

import (
	"net/http"
	"net/http/httptest"
)

// A Transport is a round tripper that calls a handler. If the request's context is
// cancelled, the round trip fails at once, and the handler sees the cancellation too.
type Transport struct{ Handler http.Handler }

// RoundTrip calls the handler in a goroutine. After a cancelled request the goroutine
// runs until the handler returns.
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
