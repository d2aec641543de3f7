package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/internal/exactpath"
	"github.com/tandem-auth/tandem/rotation"
)

// A Server is the authorization server. It is safe for concurrent use.
type Server struct {
	cfg      Config
	policy   rotation.Policy
	signer   accesstoken.Signer
	verifier *accesstoken.Verifier
	// verifierConfig is that of verifier, for verifiers of other audiences.
	verifierConfig accesstoken.VerifierConfig
	gate           *signInGate
	// endpoints are what reloadable has CORS for.
	endpoints  http.Handler
	reloadable atomic.Pointer[reloadable]

	once    OnceStore // nil if the store is none
	feed    *feed     // nil if the store is no EndedStore
	cookies cookieRules

	// warnedOfProxy is when the server last warned of a proxy that is not trusted, in
	// nanoseconds since 1970.
	warnedOfProxy atomic.Int64

	started   time.Time
	draining  atomic.Bool
	leaving   chan struct{} // closed when the server is about to stop
	leave     func()        // closes it
	readiness *readiness

	// background waits for the goroutines that run until stopBackground is called.
	background     sync.WaitGroup
	stopBackground context.CancelFunc
	leftovers      leftovers
}

// New returns a server that is ready to serve, or an error that names the
// invalid field of the config. The caller closes the server when the last
// request is done.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Logger = slog.New(requestIDHandler{cfg.Logger.Handler()})
	if err := cfg.setKeys(); err != nil {
		return nil, err
	}
	var once OnceStore
	if store, ok := cfg.Store.(OnceStore); ok {
		once = boundedOnce{store, cfg.Observe}
	}
	ended, _ := cfg.Store.(EndedStore)
	cfg.Store, cfg.Keys = boundedStore{cfg.Store, cfg.Observe}, boundedKeys{cfg.Keys}
	verifierConfig := accesstoken.VerifierConfig{
		Issuer: cfg.Issuer, Audience: cfg.Audience, Keys: verifierKeys{cfg.Keys}, Now: cfg.Now,
	}
	verifier, err := accesstoken.NewVerifier(verifierConfig)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:      cfg,
		policy:   cfg.policy(),
		signer:   accesstoken.Signer{Issuer: cfg.Issuer, Audience: cfg.Audience},
		verifier: verifier,

		verifierConfig: verifierConfig,
		gate:           newSignInGate(cfg.SignIn, cfg.concurrency(), cfg.Now),

		once:    once,
		cookies: newCookieRules(cfg),

		readiness: newReadiness(cfg.Store.Ping),
	}
	s.started, s.leftovers = time.Now(), newLeftovers()
	s.leaving = make(chan struct{})
	s.leave = sync.OnceFunc(func() { close(s.leaving) })
	if ended != nil {
		s.feed = newFeed(cfg, ended)
	}
	s.warnOfPlainCookies()
	s.endpoints = s.routes()
	settings, err := newReloadable(cfg, s.endpoints)
	if err != nil {
		return nil, err
	}
	s.reloadable.Store(settings)

	ctx, stop := context.WithCancel(context.Background())
	s.stopBackground = stop
	s.background.Go(func() { s.sweep(ctx) })
	s.background.Go(func() { s.endLeftovers(ctx) })
	if s.feed != nil {
		s.background.Go(func() { s.feed.run(ctx) })
	}
	return s, nil
}

// ServeHTTP serves the endpoints. To mount them under a path of your own, use
// [http.StripPrefix]. A body must arrive within 10 seconds, whatever the read
// timeout of the [http.Server] is. ServeHTTP does not recover a panic of the
// directory, the store or OnEvent; [net/http] does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	boundBody(w, r)
	s.reloadable.Load().handler.ServeHTTP(w, s.identified(w, r))
}

// Drain makes /readyz answer 503 from now on, so that a load balancer stops
// sending requests. The server still answers all requests that arrive.
// Followers of the feed of ended sessions are sent elsewhere.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.leave()
}

// Close stops the server's background goroutines and waits for them. It may be
// called more than once. It does not close the store.
func (s *Server) Close() error {
	s.leave()
	s.stopBackground()
	s.background.Wait()
	return nil
}

// An endpoint answers a request, or returns an error for fail to answer with.
type endpoint func(w http.ResponseWriter, r *http.Request) error

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for path, methods := range map[string]map[string]endpoint{
		"/auth/login":            {http.MethodPost: s.signIn},
		"/auth/refresh-token":    {http.MethodPost: s.refresh},
		"/auth/logout":           {http.MethodPost: s.signOut},
		"/auth/me":               {http.MethodGet: s.me},
		"/auth/ticket":           {http.MethodPost: s.issueTicket},
		"/auth/sessions":         {http.MethodGet: s.listSessions, http.MethodDelete: s.endAllSessions},
		"/auth/sessions/{id}":    {http.MethodDelete: s.endSession},
		"/oauth/token":           {http.MethodPost: s.oauthToken},
		"/oauth/revoke":          {http.MethodPost: s.oauthRevoke},
		"/oauth/introspect":      {http.MethodPost: s.oauthIntrospect},
		"/oauth/ended":           {http.MethodGet: s.oauthEnded},
		"/.well-known/jwks.json": {http.MethodGet: s.serveKeySet},
		"/healthz":               {http.MethodGet: s.health},
		"/readyz":                {http.MethodGet: s.ready},
	} {
		mux.Handle(path, s.observed(path, s.byMethod(methods)))
	}
	for _, path := range s.metadataPaths() {
		mux.Handle(path, s.observed(path, s.byMethod(map[string]endpoint{http.MethodGet: s.oauthMetadata})))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, notFound("there is nothing here"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !exactpath.IsShortest(r.URL.Path) {
			s.fail(w, r, notFound(`there is nothing here: the path has an empty element, "." or ".." in it, such as //auth/login`))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) byMethod(methods map[string]endpoint) http.Handler {
	if get, ok := methods[http.MethodGet]; ok {
		methods[http.MethodHead] = get
	}
	allow := strings.Join(append(slices.Sorted(maps.Keys(methods)), http.MethodOptions), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve, ok := methods[r.Method]
		switch {
		case ok:
			if err := serve(w, r); err != nil {
				s.fail(w, r, err)
			}
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allow)
			done(w)
		default:
			w.Header().Set("Allow", allow)
			s.fail(w, r, &problem{
				status:      http.StatusMethodNotAllowed,
				Code:        codeNotAllowed,
				Description: "use " + allow,
			})
		}
	})
}

type status struct {
	Status string `json:"status"`
}

// health answers that the process is running.
func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	s.respond(w, r, http.StatusOK, status{"ok"})
	return nil
}

func (s *Server) serveKeySet(w http.ResponseWriter, r *http.Request) error {
	set := s.cfg.Keys.KeySet()
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "public, max-age=300")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("ETag", set.etag)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(set.public.JSON()))
	return nil
}

// now returns the time truncated to milliseconds, the precision of stores and refresh
// tokens.
func (s *Server) now() time.Time { return s.cfg.Now().Truncate(time.Millisecond) }

// emit adds the time, the client's address and the request's ID to an event, and passes it
// to OnEvent.
func (s *Server) emit(r *http.Request, e Event) {
	e.Time, e.IP, e.RequestID = s.now(), s.ip(r), RequestID(r.Context())
	if outcome := outcomes[e.Kind]; outcome != "" {
		if state := requestStateOf(r.Context()); state != nil {
			state.outcome = outcome
		}
	}
	if e.Kind == EventSessionEnded && s.feed != nil {
		s.feed.wake()
	}
	s.cfg.OnEvent(e)
}

// randomBranch draws the branch of a new refresh token.
func randomBranch() (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("draw a branch: %w", err)
	}
	return binary.BigEndian.Uint64(b[:]), nil
}
