package tandemgrpc

import (
	"context"

	"github.com/tandem-auth/tandem"
)

// A pending call is a [tandem.Session.Call] that learns later, when the stream that it
// is for has been answered, whether the server took its token.
type pending struct {
	tokens   chan string
	verdicts chan bool // with room for one: whether the token was refused
	over     chan struct{}
	err      error // of the call, once it is over
}

// begin starts a call, whose first token must be waited for. Its goroutine ends with ctx,
// or with a verdict; if that is a refusal, the next token must be waited for, too.
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

// token waits for the next token to try. Without one, the call is over; err says why,
// unless it is for a refusal that stands.
func (p *pending) token() (token string, err error) {
	select {
	case token = <-p.tokens:
		return token, nil
	case <-p.over:
		return "", p.err
	}
}

// say tells the call about its latest token. What it is told after the first word is
// too late, and changes nothing.
func (p *pending) say(refused bool) {
	select {
	case p.verdicts <- refused:
	default:
	}
}
