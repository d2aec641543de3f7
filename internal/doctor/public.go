package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/internal/loopback"
	"github.com/tandem-auth/tandem/store"
)

const (
	// skew is how far two clocks may differ; a Date header has whole seconds.
	skew = 5 * time.Second
	// spoofed is an address for documentation (RFC 5737), which no client has.
	spoofed = "203.0.113.99"
	// recorded bounds how long the doctor waits for the server's record of a request.
	recorded = 3 * time.Second
)

// public looks at the server as its clients reach it: by its public address, through its
// proxies.
func (e *Examination) public(ctx context.Context) {
	if e.Config.Issuer == "" {
		e.report(Info, "address", "", "--issuer is not set, so there is no public address to look at: clients on this machine alone can use the server")
		return
	}
	base := strings.TrimSuffix(strings.TrimSuffix(e.Config.Issuer, "/"), e.Config.Prefix) + e.Config.Prefix
	client := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	p := &publicAddress{Examination: e, base: base, client: client}
	if p.reach(ctx) {
		p.cors(ctx)
		p.forwarded(ctx)
	}
	p.cookies()
}

type publicAddress struct {
	*Examination
	base   string
	client *http.Client
}

// An answer is one of the public address.
type answer struct {
	status int
	header http.Header
	text   []byte
}

func (p *publicAddress) send(ctx context.Context, method, path, body string, header http.Header) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, p.base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	maps.Copy(request.Header, header)
	response, err := p.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	return answer{response.StatusCode, response.Header, text}, err
}

// reach looks at whether the server answers, and is the one that is meant.
func (p *publicAddress) reach(ctx context.Context) bool {
	began := time.Now()
	response, err := p.send(ctx, http.MethodGet, "/.well-known/oauth-authorization-server", "", nil)
	if err != nil {
		p.report(Fail, "address", "see whether the server and its proxy run, and whether the name, the port and the certificate are right", "%s is not reached from here: %v", p.base, withoutURL(err))
		return false
	}
	took := time.Since(began)
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	switch {
	case response.status >= http.StatusMultipleChoices && response.status < http.StatusBadRequest:
		p.report(Fail, "address", "set --issuer to the address that does not redirect: clients send no password to another one", "%s redirects to %s", p.base, response.header.Get("Location"))
		return false
	case response.status != http.StatusOK || json.Unmarshal(response.text, &metadata) != nil || metadata.Issuer == "":
		p.report(Fail, "address", "let the proxy pass "+p.base+"/ to this server, paths as they are", "what answers at %s is no Tandem server (status %d)", p.base, response.status)
		return false
	case metadata.Issuer != p.Config.Issuer:
		p.report(Fail, "address", "give both the same --issuer, or let the proxy pass the address to this server", "the server there calls itself %s, and this one %s", metadata.Issuer, p.Config.Issuer)
		return false
	}
	p.report(OK, "address", "", "%s answers in %s", p.base, round(took))
	if at, err := http.ParseTime(response.header.Get("Date")); err == nil {
		if off := p.Now().Sub(at); off.Abs() > skew {
			p.report(Fail, "clock", "keep both clocks right with chrony or systemd-timesyncd", "the clock here and that at %s differ by %s", p.base, off.Abs().Round(time.Second))
		}
	}
	if response.header.Get("X-Request-Id") == "" {
		p.report(Warn, "proxy", "let the proxy pass the header X-Request-Id of answers, by which a request is found in the log", "the proxy removes X-Request-Id")
	}
	return true
}

// withoutURL removes the URL, which the finding has already.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// cors asks as a browser does before a page of another origin may call the server.
func (p *publicAddress) cors(ctx context.Context) {
	for _, origin := range p.Config.AllowedOrigins {
		response, err := p.send(ctx, http.MethodOptions, "/auth/refresh-token", "", http.Header{
			"Origin": {origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type"},
		})
		if err != nil {
			p.report(Fail, "cors", "", "%s: %v", origin, withoutURL(err))
			continue
		}
		switch got := response.header.Values("Access-Control-Allow-Origin"); {
		case len(got) == 1 && got[0] == origin:
			p.report(OK, "cors", "", "pages of %s may call the server", origin)
		case len(got) > 1:
			p.report(Fail, "cors", "let the proxy add no CORS headers: the server does", "the answer has Access-Control-Allow-Origin %d times, which browsers refuse", len(got))
		default:
			p.report(Fail, "cors", "let the proxy pass OPTIONS requests and Access-Control headers as they are; if the server was started with other origins, restart or reload it",
				"pages of %s may not call the server (status %d)", origin, response.status)
		}
	}
}

// forwarded makes a sign-in that fails, with an address that no client has, and looks into
// the audit log for the address that the server saw.
func (p *publicAddress) forwarded(ctx context.Context) {
	if p.store == nil {
		return
	}
	body := fmt.Sprintf(`{"username":"tandem doctor %s","password":"-"}`, rand.Text()[:8])
	response, err := p.send(ctx, http.MethodPost, "/auth/login", body, http.Header{
		"Content-Type": {"application/json"}, "X-Forwarded-For": {spoofed}, "User-Agent": {"tandem doctor"},
	})
	if err != nil {
		return // reach has looked at that
	}
	id := response.header.Get("X-Request-Id")
	address := p.addressOf(ctx, id)
	addr, err := netip.ParseAddr(address)
	switch {
	case address == "":
		p.report(Info, "proxy", "", "the server at %s has not recorded a sign-in of this doctor in this store, so it is unknown which address it sees", p.base)
	case address == spoofed:
		p.report(Fail, "proxy", "let the outermost proxy replace X-Forwarded-For (nginx: proxy_set_header X-Forwarded-For $remote_addr), or trust fewer networks with --trust-proxy",
			"clients can choose the address that the server sees, and so get around the limits on sign-ins")
	case err == nil && len(p.Config.TrustedProxies) == 0 && (addr.IsLoopback() || addr.IsPrivate()) && !loopback.IsURL(p.base):
		p.report(Warn, "proxy", "name the network of the proxy with --trust-proxy, such as "+netip.PrefixFrom(addr, addr.BitLen()).String(),
			"the server sees the address %s: if that is a proxy, all its clients count as one", address)
	default:
		p.report(OK, "proxy", "", "the server sees this machine as %s", address)
	}
}

// addressOf returns the address in the record of a request, or "" if there is none.
func (p *publicAddress) addressOf(ctx context.Context, requestID string) string {
	if requestID == "" {
		return ""
	}
	since := time.Now().Add(-time.Minute)
	for until := time.Now().Add(recorded); time.Now().Before(until); {
		records, err := p.store.Audit(ctx, store.AuditQuery{Since: since, Action: audit.SignIn})
		if err != nil {
			return ""
		}
		for _, r := range records {
			if r.RequestID == requestID {
				return r.IP
			}
		}
		select {
		case <-ctx.Done():
			return ""
		case <-time.After(50 * time.Millisecond):
		}
	}
	return ""
}

// cookies looks at whether browsers will keep the cookies of cookie mode.
func (p *publicAddress) cookies() {
	u, err := url.Parse(p.Config.Issuer)
	if err != nil {
		return
	}
	switch {
	case u.Scheme == "https":
		p.report(OK, "cookies", "", "they are Secure, and for %s alone", u.Hostname())
		return
	case loopback.IsURL(p.base):
		p.report(OK, "cookies", "", "they are for %s alone; no network sees them, so they need not be Secure", u.Hostname())
		return
	}
	p.report(Warn, "cookies", "use https, by --tls-cert or by a proxy, and name the https address with --issuer",
		"%s is not https: passwords and tokens can be read on the way, and cookies are not Secure", p.Config.Issuer)
}
