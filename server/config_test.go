package server_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

func TestNewNamesTheFieldThatIsWrong(t *testing.T) {
	good := newHarness(t).cfg
	retired := good.SigningKey
	for _, c := range []struct {
		name   string
		change func(*server.Config)
		want   string
	}{
		{"no issuer", func(c *server.Config) { c.Issuer = "" }, "Config.Issuer: is required"},
		{"relative issuer", func(c *server.Config) { c.Issuer = "auth.example.com" }, "Config.Issuer: "},
		{"issuer of another scheme", func(c *server.Config) { c.Issuer = "ftp://auth.example.com" }, "Config.Issuer: "},
		{"issuer with a query", func(c *server.Config) { c.Issuer = "https://auth.example.com?a=b" }, "Config.Issuer: "},
		{"issuer with a quote", func(c *server.Config) { c.Issuer = `https://auth.example.com/"` }, "Config.Issuer: "},
		{"no store", func(c *server.Config) { c.Store = nil }, "Config.Store: is required"},
		{"no directory", func(c *server.Config) { c.Directory = nil }, "Config.Directory: is required"},
		{"no signing key", func(c *server.Config) { c.SigningKey = server.SigningKey{} }, "Config.SigningKey: is required"},
		{"empty retired key", func(c *server.Config) { c.RetiredSigningKeys = []server.SigningKey{{}} }, "Config.RetiredSigningKeys: "},
		{"key in use and retired", func(c *server.Config) { c.RetiredSigningKeys = []server.SigningKey{retired} }, "Config.RetiredSigningKeys: "},
		{"no refresh key", func(c *server.Config) { c.RefreshKeys = nil }, "Config.RefreshKeys: "},
		{"short refresh key", func(c *server.Config) { c.RefreshKeys = []rotation.Key{{ID: 1, Secret: []byte("short")}} }, "Config.RefreshKeys: "},
		{"access TTL", func(c *server.Config) { c.AccessTTL = -time.Second }, "Config.AccessTTL: "},
		{"refresh TTL", func(c *server.Config) { c.RefreshTTL = time.Millisecond }, "Config.RefreshTTL: "},
		{"session TTL", func(c *server.Config) { c.SessionTTL = -1 }, "Config.SessionTTL: "},
		{"any origin", func(c *server.Config) { c.AllowedOrigins = []string{"*"} }, `Config.AllowedOrigins: "*" is not an origin: that is scheme, host and port only, such as "https://app.example.com", "http://localhost:5173" or "capacitor://localhost"`},
		{"origin of a file", func(c *server.Config) { c.AllowedOrigins = []string{"file://host"} }, `Config.AllowedOrigins: "file://host" is no origin that a page can have`},
		{"origin without a host", func(c *server.Config) { c.AllowedOrigins = []string{"capacitor://"} }, "Config.AllowedOrigins: "},
		{"origin with a port that is none", func(c *server.Config) { c.AllowedOrigins = []string{"https://app.example.com:99999"} }, "Config.AllowedOrigins: "},
		{"origin with a user", func(c *server.Config) { c.AllowedOrigins = []string{"https://ann@app.example.com"} }, "Config.AllowedOrigins: "},
		{"origin with a host that is none", func(c *server.Config) { c.AllowedOrigins = []string{"https://b\u00fc_cher.example"} }, "Config.AllowedOrigins: "},
		{"header that is none", func(c *server.Config) { c.AllowedHeaders = []string{"X Tenant"} }, "Config.AllowedHeaders: "},
		{"origin with a wildcard", func(c *server.Config) { c.AllowedOrigins = []string{"https://*.example.com"} }, "Config.AllowedOrigins: "},
		{"origin with a path", func(c *server.Config) { c.AllowedOrigins = []string{"https://app.example.com/app"} }, "Config.AllowedOrigins: "},
		{"origin with a slash", func(c *server.Config) { c.AllowedOrigins = []string{"https://app.example.com/"} }, "Config.AllowedOrigins: "},
		{"origin without a scheme", func(c *server.Config) { c.AllowedOrigins = []string{"app.example.com"} }, "Config.AllowedOrigins: "},
		{"empty origin", func(c *server.Config) { c.AllowedOrigins = []string{""} }, "Config.AllowedOrigins: "},
		{"proxy that matches nothing", func(c *server.Config) {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}
		}, "Config.TrustedProxies: "},
		{"invalid proxy", func(c *server.Config) { c.TrustedProxies = make([]netip.Prefix, 1) }, "Config.TrustedProxies: "},
		{"limit without a pace", func(c *server.Config) { c.SignIn.PerAddress = server.Limit{Burst: 1} }, "Config.SignIn.PerAddress: "},
		{"limit without a burst", func(c *server.Config) { c.SignIn.PerUserAndAddress = server.Limit{Every: 1} }, "Config.SignIn.PerUserAndAddress: "},
		{"users locked out by an IPv6 network", func(c *server.Config) { c.SignIn.PerUser = server.Limit{Burst: 100, Every: 2500 * time.Millisecond} }, "Config.SignIn.PerUser: must refill more than 4 times as fast"},
		{"limit without successes", func(c *server.Config) { c.SignIn.Successes = server.Limit{Burst: 1} }, "Config.SignIn.Successes: "},
		{"negative concurrency", func(c *server.Config) { c.SignIn.Concurrency = -1 }, "Config.SignIn.Concurrency: "},
		{"users locked out", func(c *server.Config) { c.SignIn.PerUser = server.Limit{Burst: 1, Every: time.Minute} }, "Config.SignIn.PerUser: must refill more than 4 times as fast"},
		{"no entries", func(c *server.Config) { c.SignIn.Entries = -1 }, "Config.SignIn.Entries: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			_, err := server.New(cfg)
			if err == nil || !strings.HasPrefix(err.Error(), "server: "+c.want) {
				t.Errorf("got %v\nwant server: %s…", err, c.want)
			}
		})
	}
}

func TestCloseMayBeCalledAgain(t *testing.T) {
	s := newHarness(t).server
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
