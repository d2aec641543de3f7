package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// clientAddr returns the address of the client. That is the connection's remote
// address, or, if this is a trusted proxy, the last address in X-Forwarded-For
// that is not a trusted proxy. The result is not valid if the connection has no
// IP address, such as a Unix socket.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr, ok := parseAddr(r.RemoteAddr)
	if !ok {
		return netip.Addr{}
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !isTrusted(addr, trusted) {
			break
		}
		before, ok := parseAddr(strings.TrimSpace(hop))
		if !ok {
			break
		}
		addr = before
	}
	return addr
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseAddr parses an address with or without a port.
func parseAddr(s string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return withPort.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}

// warnEvery is the shortest time between two warnings about a proxy that is not trusted.
// It is bounded because any client can send X-Forwarded-For.
const warnEvery = time.Hour

func (s *Server) clientAddr(r *http.Request) netip.Addr {
	s.warnOfProxy(r)
	return clientAddr(r, s.reloadable.Load().trustedProxies)
}

// warnOfProxy warns if a request with X-Forwarded-For comes from an address that is not a
// trusted proxy. If it is a proxy after all, the sign-in limits count all its clients as
// one address.
func (s *Server) warnOfProxy(r *http.Request) {
	if len(r.Header.Values("X-Forwarded-For")) == 0 {
		return
	}
	addr, ok := parseAddr(r.RemoteAddr)
	if ok && isTrusted(addr, s.reloadable.Load().trustedProxies) {
		return
	}
	now, before := s.now().UnixNano(), s.warnedOfProxy.Load()
	if before != 0 && now-before < int64(warnEvery) || !s.warnedOfProxy.CompareAndSwap(before, now) {
		return
	}
	s.cfg.Logger.LogAttrs(r.Context(), slog.LevelWarn,
		"X-Forwarded-For from an address that is not trusted is ignored; if this is a proxy of yours, trust its network (--trust-proxy, Config.TrustedProxies): else all its clients count as one address",
		slog.String("address", r.RemoteAddr))
}

// ClientIP returns the address of the client that has sent a request, also to a handler of
// the program's own, or "" if there is none. It believes the proxies in [Config]
// TrustedProxies.
func (s *Server) ClientIP(r *http.Request) string { return s.ip(r) }

// ip returns the client's address as text, or "" if there is none.
func (s *Server) ip(r *http.Request) string {
	if addr := s.clientAddr(r); addr.IsValid() {
		return addr.String()
	}
	return ""
}
