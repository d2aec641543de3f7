package tandemgrpc

import (
	"context"

	"github.com/tandem-auth/tandem"
)

// A pending call is a [tandem.Session.Call] for a stream. The stream reports later,
// when the server has answered it, whether the server accepted the access token.
type pending struct {
	tokens   chan string
	verdicts chan bool // capacity 1; true: the server refused the token
	over     chan struct{}
	err      error // the call's error, set before over is closed
}

// begin starts a call in a goroutine, which ends with ctx or after a verdict. The
// caller must take the first token with token, and after each refusal the next one.
func begin(ctx context.Context, session *tandem.Session, target string) *pending {
	p := &pending{tokens: make(chan string), verdicts: make(chan bool, 1), over: make(chan struct{})}
	go func() {
		defer close(p.over)
		p.err = session.Call(ctx, target, func(ctx context.Context, token string) (refused bool, err error) {
			p.tokens <- token
			select {
			case refused = <-p.verdicts:
				return refused, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		})
	}()
	return p
}

// token waits for the next token to try. If the call ends without one, err is the
// call's error; it is nil if the server's last refusal is final.
func (p *pending) token() (token string, err error) {
	select {
	case token = <-p.tokens:
		return token, nil
	case <-p.over:
		return "", p.err
	}
}

// say reports a verdict on the latest token to the call. Only the first verdict on a
// token counts.
func (p *pending) say(refused bool) {
	select {
	case p.verdicts <- refused:
	default:
	}
}
