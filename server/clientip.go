package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// clientAddr returns where a request came from: the connection's other end, or
// if that is a trusted proxy, what X-Forwarded-For has as its last hop that is
// none. It is not valid if the connection has no IP address, as over a Unix
// socket.
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

// parseAddr takes an address with or without a port.
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

// warnEvery is how often at most the server warns of a proxy that is not trusted:
// anybody can send the header.
const warnEvery = time.Hour

func (s *Server) clientAddr(r *http.Request) netip.Addr {
	s.warnOfProxy(r)
	return clientAddr(r, s.cfg.TrustedProxies)
}

// warnOfProxy warns if X-Forwarded-For comes from where it is not believed: behind a
// proxy that is not trusted, all clients are one address to the limits.
func (s *Server) warnOfProxy(r *http.Request) {
	if len(r.Header.Values("X-Forwarded-For")) == 0 {
		return
	}
	addr, ok := parseAddr(r.RemoteAddr)
	if ok && isTrusted(addr, s.cfg.TrustedProxies) {
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

// ip returns the client's address as text, or "" if there is none.
func (s *Server) ip(r *http.Request) string {
	if addr := s.clientAddr(r); addr.IsValid() {
		return addr.String()
	}
	return ""
}
