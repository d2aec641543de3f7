package simulation

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

var (
	errReset   = errors.New("connection reset by peer")
	errRefused = errors.New("connection refused")
)

// A fault is what the network does to one call.
type fault uint8

const (
	noFault      fault = iota
	loseRequest        // and the client waits in vain
	resetBefore        // the connection breaks before the server has the request
	loseReply          // and the client waits in vain
	resetAfter         // the connection breaks after the server has answered
	duplicate          // the server gets the request again, a while later
	unavailable        // a proxy answers 503
	html               // a proxy answers 200 with a page of its own
	delay              // the request is held back for long
	kindsOfFault = int(delay)
)

// honest faults are those after which the server has not answered a request that it got: a
// strict server's client can recover from no other fault.
var honest = []fault{loseRequest, resetBefore, unavailable, html, delay}

// A network carries the calls of one process. Calls for different purposes draw from
// separate random streams, so that calls at the same moment do not exchange their faults.
type network struct {
	world  *world
	faults float64

	mu      sync.Mutex
	streams map[bool]*rand.Rand
}

func newNetwork(w *world, seed uint64, faults float64) *network {
	return &network{world: w, faults: faults, streams: map[bool]*rand.Rand{
		false: rand.New(rand.NewPCG(seed, 1)),
		true:  rand.New(rand.NewPCG(seed, 2)),
	}}
}

// A plan is what happens to one call.
type plan struct {
	fault     fault
	there     time.Duration
	back      time.Duration
	duplicate time.Duration
}

func (n *network) plan(path string) plan {
	n.mu.Lock()
	defer n.mu.Unlock()
	chance := n.streams[path == refreshPath || path == tokenPath]
	p := plan{
		there:     time.Millisecond + time.Duration(chance.Int64N(int64(80*time.Millisecond))),
		back:      time.Millisecond + time.Duration(chance.Int64N(int64(80*time.Millisecond))),
		duplicate: time.Duration(chance.Int64N(int64(longestDelay))),
	}
	if chance.Float64() < n.faults {
		p.fault = fault(1 + chance.IntN(kindsOfFault))
		if path == tokenPath {
			p.fault = honest[chance.IntN(len(honest))]
		}
	}
	if p.fault == delay {
		p.there = p.duplicate
	}
	return p
}

// RoundTrip carries a call. The network delivers a request even after the client has given
// up on it.
func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		_ = req.Body.Close()
	}
	p := n.plan(req.URL.Path)
	if p.fault != noFault {
		n.world.count(func(r *Report) { r.Faults++ })
	}
	answer := make(chan *http.Response, 1) // stays empty if the client waits in vain
	broken := make(chan error, 1)
	n.world.tasks.Go(func() { n.carry(req, body, p, answer, broken) })
	if p.fault == duplicate {
		n.world.count(func(r *Report) { r.Duplicates++ })
		n.world.tasks.Go(func() {
			time.Sleep(p.duplicate)
			_, _ = n.world.deliver(req, body)
		})
	}
	select {
	case resp := <-answer:
		return resp, nil
	case err := <-broken:
		return nil, err
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

func (n *network) carry(req *http.Request, body []byte, p plan, answer chan<- *http.Response, broken chan<- error) {
	time.Sleep(p.there)
	switch p.fault {
	case loseRequest:
		return
	case resetBefore:
		broken <- errReset
		return
	case unavailable:
		answer <- page(req, http.StatusServiceUnavailable)
		return
	case html:
		answer <- page(req, http.StatusOK)
		return
	}
	resp, err := n.world.deliver(req, body)
	time.Sleep(p.back)
	switch {
	case p.fault == loseReply:
	case err != nil:
		broken <- err
	case p.fault == resetAfter:
		broken <- errReset
	default:
		answer <- resp
	}
}

// page is the answer of a proxy.
func page(req *http.Request, status int) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:  http.Header{"Content-Type": {"text/html"}},
		Body:    io.NopCloser(strings.NewReader("<!doctype html><title>one moment</title>")),
		Request: req,
	}
}

// deliver hands a request to the server, if it is up.
func (w *world) deliver(req *http.Request, body []byte) (*http.Response, error) {
	inbound := httptest.NewRequestWithContext(w.always, req.Method, req.URL.String(), bytes.NewReader(body))
	inbound.Header = req.Header.Clone()
	recorder := httptest.NewRecorder()
	if !w.backend.serve(recorder, inbound) {
		return nil, errRefused
	}
	resp := recorder.Result()
	resp.Request = req
	return resp, nil
}
