package resource

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// DefaultEvery is the default of [Introspection].Every.
const DefaultEvery = 10 * time.Second

const (
	askTimeout = 5 * time.Second
	maxAnswer  = 64 << 10 // bytes
)

// An Introspection has a guard ask the server whether a session lives (RFC 7662), and not
// only when its access token expires.
type Introspection struct {
	// ClientID and Secret are those of this API at the server: tandem api add NAME,
	// with --audience if Config.Audience is not the server's own. Required.
	ClientID, Secret string

	// URL is the server's endpoint. Defaults to /oauth/introspect below Issuer.
	URL string

	// Every is how old an answer may be. A session that has ended is refused after that
	// time at the latest. Defaults to DefaultEvery.
	Every time.Duration

	// AcceptIfUnknown accepts a valid token while the server cannot be asked. By default
	// the guard answers 503 then.
	AcceptIfUnknown bool
}

func (i *Introspection) withDefaults(issuer *url.URL) (*Introspection, error) {
	if i == nil {
		return nil, nil
	}
	d := *i
	d.URL = cmp.Or(d.URL, issuer.JoinPath("/oauth/introspect").String())
	d.Every = cmp.Or(d.Every, DefaultEvery)
	if _, err := absolute(d.URL); err != nil {
		return nil, fmt.Errorf("URL: %w", err)
	}
	if d.ClientID == "" || d.Secret == "" {
		return nil, errors.New("ClientID and Secret are required")
	}
	if d.Every < 0 {
		return nil, fmt.Errorf("Every: %v is negative", d.Every)
	}
	return &d, nil
}

// An asker asks the server about tokens: about each once at a time, for all requests that
// wait for the answer.
type asker struct {
	config Introspection
	client *http.Client

	ctx        context.Context // of the questions, which are for all who wait
	stop       context.CancelFunc
	background sync.WaitGroup

	mu    sync.Mutex
	asked map[string]*question
}

type question struct {
	done  chan struct{}
	lives bool
	err   error
}

func newAsker(config *Introspection, client *http.Client) *asker {
	if config == nil {
		return nil
	}
	a := &asker{config: *config, client: client, asked: map[string]*question{}}
	a.ctx, a.stop = context.WithCancel(context.Background())
	return a
}

// close ends the questions that are under way. It may be called twice, and for nil.
func (a *asker) close() {
	if a == nil {
		return
	}
	a.stop()
	a.background.Wait()
}

// isFresh reports whether the server's last answer about a token still counts.
func (a *asker) isFresh(e *entry, now time.Time) bool {
	return now.Sub(time.Unix(0, e.askedAt.Load())) < a.config.Every
}

// lives reports whether the session of a token lives, by the server's word.
func (a *asker) lives(ctx context.Context, e *entry, now time.Time) (bool, error) {
	a.mu.Lock()
	if a.isFresh(e, now) { // another request has asked meanwhile
		a.mu.Unlock()
		return true, nil
	}
	q := a.asked[e.token]
	if q == nil {
		q = &question{done: make(chan struct{})}
		a.asked[e.token] = q
		a.background.Go(func() { a.ask(q, e, now) })
	}
	a.mu.Unlock()
	select {
	case <-q.done:
		return q.lives, q.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// ask ends within askTimeout. It notes the answer in the entry before it lets others ask.
func (a *asker) ask(q *question, e *entry, now time.Time) {
	ctx, cancel := context.WithTimeout(a.ctx, askTimeout)
	defer cancel()
	defer close(q.done)
	q.lives, q.err = a.introspect(ctx, e.token)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.asked, e.token)
	switch {
	case q.err != nil:
	case q.lives:
		e.askedAt.Store(now.UnixNano())
	default:
		e.isOver.Store(true)
	}
}

func (a *asker) introspect(ctx context.Context, token string) (active bool, _ error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.config.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(a.config.ClientID), url.QueryEscape(a.config.Secret))
	resp, err := a.client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return false, err
	}
	var answer struct {
		Active *bool `json:"active"`
	}
	if err := json.Unmarshal(text, &answer); resp.StatusCode != http.StatusOK || err != nil || answer.Active == nil {
		return false, fmt.Errorf("the server answers %s to a question about a token", resp.Status)
	}
	return *answer.Active, nil
}
