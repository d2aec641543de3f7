package tandem_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/liveconn"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// A path is a network between client and server. It can go silent: the connections there
// are stay open, and nothing gets through any more. New ones work.
type path struct {
	*testing.T
	accepted atomic.Int64
	mu       sync.Mutex
	silence  chan struct{} // closed when what was dialed before goes silent
	over     chan struct{}
	dialer   net.Dialer
}

func newPath(t *testing.T) *path {
	p := &path{T: t, silence: make(chan struct{}), over: make(chan struct{})}
	t.Cleanup(func() { close(p.over) })
	return p
}

// goSilent silences all connections that there are.
func (p *path) goSilent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.silence)
	p.silence = make(chan struct{})
}

// through makes a transport dial over the path.
func (p *path) through(transport *http.Transport) {
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		far, err := p.dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		near, err := p.dialer.DialContext(ctx, network, listener.Addr().String())
		if err != nil {
			return nil, err
		}
		middle, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		p.accepted.Add(1)
		p.mu.Lock()
		silence := p.silence
		p.mu.Unlock()
		go p.forward(far, middle, silence)
		go p.forward(middle, far, silence)
		return near, nil
	}
}

func (p *path) forward(to, from net.Conn, silence chan struct{}) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-silence:
			<-p.over // what was read is lost, and nobody hears of anything
			return
		default:
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// A connection that has gone silent is given up in time, and with it the request that
// waits on it; a refresh comes out all the same.
func TestASilentHTTP2Connection(t *testing.T) {
	t.Parallel()
	const silence = 600 * time.Millisecond
	for name, use := range map[string]func(n *network) error{
		"a request": func(n *network) error {
			begun := time.Now()
			if status, err := n.post(http.NoBody); err == nil {
				n.Errorf("the request on it was answered with %d", status)
			}
			if took := time.Since(begun); took < silence/3 {
				n.Errorf("it was given up after %s", took)
			}
			_, err := n.post(http.NoBody)
			return err
		},
		"a refresh": func(n *network) error {
			token, _ := n.session.Token(n.Context())
			n.session.Invalidate(token)
			_, err := n.session.Token(n.Context())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPath(t)
			n := newNetwork(t, "HTTP/2", func(transport *http.Transport) http.RoundTripper {
				p.through(transport)
				return liveconn.Transport(transport, silence)
			})
			p.goSilent()
			n.within(silence+3*time.Second, func() {
				if err := use(n); err != nil {
					t.Error(err)
				}
			})
			if got := p.accepted.Load(); got != 2 {
				t.Errorf("%d connections, want the silent one and one after it", got)
			}
		})
	}
}

// The program's own transport need not have pings: once an attempt at a refresh has run
// into its time limit, the next one does not go out on the same connection.
func TestASilentConnectionOfTheProgramsOwnTransport(t *testing.T) {
	t.Parallel()
	for name, silence := range map[string]func(p *path, n *network){
		"before the answer": func(p *path, _ *network) { p.goSilent() },
		"within the answer": func(_ *path, n *network) {
			var once sync.Once
			n.auth.Script(func(w http.ResponseWriter, r *http.Request) (answered bool) {
				if r.URL.Path == testserver.Refresh {
					once.Do(func() {
						_, _ = io.WriteString(w, "{")
						_ = http.NewResponseController(w).Flush()
						<-r.Context().Done()
						answered = true
					})
				}
				return answered
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPath(t)
			n := newNetwork(t, "HTTP/2",
				func(transport *http.Transport) http.RoundTripper { p.through(transport); return transport },
				func(c *tandem.Config) { c.RefreshTimeout = 500 * time.Millisecond })
			token, err := n.session.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n.session.Invalidate(token)
			silence(p, n)
			if _, err := n.session.Token(t.Context()); err != nil {
				t.Error(err)
			}
			if got := p.accepted.Load(); got != 2 {
				t.Errorf("%d connections, want the silent one and one after it", got)
			}
		})
	}
}

// Sessions without a transport of their own share one: thousands of them must not have
// thousands of connections.
func TestTheDefaultTransportIsShared(t *testing.T) {
	transport, ok := tandem.DefaultTransport().(*http.Transport)
	if !ok {
		t.Fatalf("got %T, want an http.Transport", tandem.DefaultTransport())
	}
	if transport != tandem.DefaultTransport() || transport == http.DefaultTransport {
		t.Error("want one copy of http.DefaultTransport")
	}
	if pings := transport.HTTP2; pings == nil || pings.SendPingTimeout <= 0 || pings.SendPingTimeout+pings.PingTimeout > liveconn.MaxSilence {
		t.Errorf("pings: %+v", pings)
	}
	other := roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil })
	if _, ok := liveconn.Transport(other, time.Second).(roundTrip); !ok {
		t.Error("another http.DefaultTransport that the program has set is not used as it is")
	}
}
