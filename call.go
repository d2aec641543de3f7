package tandem

import "context"

// Call is [Session.Transport] for what is not an [http.Request], such as a call of
// another protocol. It calls do with an access token; if do says that the token was
// refused, the next one is fetched and do is called once more. Refused means that
// nothing was done, so that it can be tried again.
//
// The target names the API, such as "grpc://orders": one that refuses even a fresh
// access token has its refusals handed on for 10 seconds, rather than causing a
// refresh for each. Config.Origins doesn't apply: do must send the token to nobody else.
//
// The error is that of do, one of [Session.Token], or [ErrUserChanged].
func (s *Session) Call(ctx context.Context, target string, do func(ctx context.Context, accessToken string) (refused bool, err error)) error {
	begun := s.user()
	c, err := s.credential(ctx, nil)
	if err != nil {
		return err
	}
	if begun == nil {
		begun = c
	}
	if !begun.sameUser(c) {
		return ErrUserChanged
	}
	s.stats.requests.Add(1)
	refused, doErr := do(ctx, c.AccessToken)
	if !refused || !s.worthARefresh(begun, c, target) {
		return doErr
	}
	next, err := s.credential(ctx, c)
	if err != nil {
		return err
	}
	if !begun.sameUser(next) {
		return ErrUserChanged
	}
	s.replaying(ctx, next)
	refused, doErr = do(ctx, next.AccessToken)
	if refused && next.fetched {
		next.refusedFresh(target, s.config.Now())
	}
	return doErr
}

// worthARefresh reports whether the access token of c, which target has refused,
// should be replaced. It is not if it was fresh: fetched since the request began, or
// refused elsewhere for what it is. One that another process had fetched may be old.
func (s *Session) worthARefresh(begun, c *credential, target string) bool {
	now := s.config.Now()
	if c != begun && c.fetched {
		c.refusedFresh(target, now)
	}
	return !c.wasRefusedFresh(target, now)
}

// replaying notes that a request is sent a second time, with c.
func (s *Session) replaying(ctx context.Context, c *credential) {
	s.stats.replays.Add(1)
	s.tell(ctx, Event{Kind: EventReplay, SessionID: c.SessionID, Begun: s.config.Now()})
}
