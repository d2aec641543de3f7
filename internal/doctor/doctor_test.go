package doctor_test

import (
	"bytes"
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/doctor"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/internal/testkit/certtest"
	"github.com/tandem-auth/tandem/keys"
)

const app = "https://app.example.com"

// A site is a server behind a proxy that replaces X-Forwarded-For, as it should be.
type site struct {
	*testing.T
	dir    string
	config daemon.Config
	now    func() time.Time
	// The proxy calls request and response, which a fault may replace.
	request  func(*httputil.ProxyRequest)
	response func(*http.Response)
	// before runs once the server has made its files and before it serves.
	before func()
}

// examine starts the site and returns what the doctor finds.
func (s *site) examine() []doctor.Finding {
	s.Helper()
	var target *url.URL
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("X-Forwarded-For", "192.0.2.7")
			if s.request != nil {
				s.request(r)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if s.response != nil {
				s.response(r)
			}
			return nil
		},
	})
	defer proxy.Close()
	if s.config.Issuer == "" {
		s.config.Issuer = proxy.URL
	}
	d, err := daemon.Open(s.Context(), s.config)
	if err != nil {
		s.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	if target, err = url.Parse(d.URL()); err != nil {
		s.Fatal(err)
	}
	go func() { served <- d.Serve(ctx) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			s.Error(err)
		}
	}()
	if s.before != nil {
		s.before()
	}
	examined := s.config
	examined.Audit.Store = nil
	return (&doctor.Examination{Config: examined, Now: s.now}).Run(s.Context())
}

func (s *site) chmod(name string, mode os.FileMode) {
	s.Helper()
	if err := os.Chmod(filepath.Join(s.dir, name), mode); err != nil {
		s.Fatal(err)
	}
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	return &site{T: t, dir: dir, config: daemon.Config{
		Store: storage.Folder(dir), Listen: "localhost:0", Users: directory.Config{Memory: 64, Iterations: 1},
		AllowedOrigins: []string{app}, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}}
}

// A site that is as it should be has nothing wrong with it.
func TestAHealthySite(t *testing.T) {
	s := newSite(t)
	parts := map[string]doctor.Level{}
	for _, f := range s.examine() {
		parts[f.Part] = f.Level
		if f.Level == doctor.Fail || f.Level == doctor.Warn && f.Part != "limits" {
			t.Errorf("%+v", f)
		}
	}
	for _, part := range []string{"settings", "clock", "files", "store", "keys", "address", "cors", "proxy", "cookies"} {
		if parts[part] != doctor.OK {
			t.Errorf("%s: %q, want ok", part, parts[part])
		}
	}
}

// Before the first start of a server there is no key to look for, and no fault in that.
func TestBeforeTheFirstStart(t *testing.T) {
	s := newSite(t)
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	users, err := s.config.Store.Open(t.Context()) // as by tandem user add
	if err != nil {
		t.Fatal(err)
	}
	if err := users.Close(); err != nil {
		t.Fatal(err)
	}
	findings := (&doctor.Examination{Config: s.config, Now: time.Now}).Run(t.Context())
	if !slices.ContainsFunc(findings, func(f doctor.Finding) bool {
		return f.Part == "keys" && f.Level == doctor.Info && strings.Contains(f.Text, "the first server makes them")
	}) {
		t.Errorf("%+v", findings)
	}
}

// Each planted fault is found, named, and comes with what to do.
func TestPlantedFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(s *site)
		level doctor.Level
		part  string
		text  string
		mend  string
	}{
		{"others can read the database", func(s *site) {
			s.before = func() { s.chmod("tandem.db", 0o644) }
		}, doctor.Fail, "files", "others can read", "chmod 600"},
		{"others can read the master key", func(s *site) {
			s.before = func() { s.chmod("tandem.db.key", 0o604) }
		}, doctor.Fail, "files", "the master key in", "chmod 600"},
		{"the master key is another", func(s *site) {
			s.before = func() {
				key, err := keys.NewMasterKey()
				if err != nil {
					s.Fatal(err)
				}
				s.config.MasterKeys = []keys.MasterKey{key}
			}
		}, doctor.Fail, "keys", "master key", "give the master key that sealed the keys"},
		{"a newer version has written the database", func(s *site) {
			s.before = func() {
				db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "tandem.db")+"?_pragma=busy_timeout(30000)") // the server writes, too
				if err != nil {
					s.Fatal(err)
				}
				defer db.Close()
				if _, err := db.ExecContext(s.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
					s.Fatal(err)
				}
			}
		}, doctor.Fail, "store", "a newer version has written", "run the newer version"},
		{"the database server is away", func(s *site) {
			s.before = func() {
				away, err := storage.Parse("postgres://tandem@127.0.0.1:1/tandem?sslmode=disable&connect_timeout=2")
				if err != nil {
					s.Fatal(err)
				}
				s.config.Store = away
			}
		}, doctor.Fail, "store", "127.0.0.1:1", "see whether it runs"},
		{"the keys are overdue", func(s *site) {
			s.now = func() time.Time { return time.Now().Add(90 * 24 * time.Hour) }
			s.response = func(r *http.Response) { r.Header.Set("Date", s.now().UTC().Format(http.TimeFormat)) }
		}, doctor.Warn, "keys", "should have been replaced after 30", "start a server"},
		{"backups have stopped", func(s *site) {
			s.config.Backup.Dir = s.TempDir()
			s.before = func() {
				s.config.Backup.Dir = s.TempDir()
				if err := os.WriteFile(filepath.Join(s.config.Backup.Dir, "tandem-20260101T030000Z.tar"), nil, 0o600); err != nil {
					s.Fatal(err)
				}
			}
		}, doctor.Fail, "backups", "one is due every 24h0m0s", "why they fail"},
		{"the clock differs", func(s *site) {
			s.response = func(r *http.Response) {
				r.Header.Set("Date", time.Now().Add(5*time.Minute).UTC().Format(http.TimeFormat))
			}
		}, doctor.Fail, "clock", "differ by", "chrony"},
		{"the public address is another program's", func(s *site) {
			other := httptest.NewServer(http.NotFoundHandler())
			s.Cleanup(other.Close)
			s.config.Issuer = other.URL
		}, doctor.Fail, "address", "is no Tandem server (status 404)", "let the proxy pass"},
		{"nobody answers at the public address", func(s *site) {
			s.config.Issuer = "http://127.0.0.1:1"
		}, doctor.Fail, "address", "is not reached from here", "see whether the server and its proxy run"},
		{"the public address redirects", func(s *site) {
			other := httptest.NewServer(http.RedirectHandler("https://www.example.com/", http.StatusMovedPermanently))
			s.Cleanup(other.Close)
			s.config.Issuer = other.URL
		}, doctor.Fail, "address", "redirects to https://www.example.com/", "set --issuer to the address that does not redirect"},
		{"the certificate of the public address is unknown", func(s *site) {
			other := httptest.NewUnstartedServer(http.NotFoundHandler())
			other.Config.ErrorLog = nil
			other.StartTLS()
			s.Cleanup(other.Close)
			s.config.Issuer = other.URL
		}, doctor.Fail, "address", "certificate", "whether the name, the port and the certificate are right"},
		{"clients choose their address", func(s *site) {
			s.request = func(r *httputil.ProxyRequest) { r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] }
		}, doctor.Fail, "proxy", "clients can choose the address", "replace X-Forwarded-For"},
		{"the proxy removes the request's ID", func(s *site) {
			s.response = func(r *http.Response) { r.Header.Del("X-Request-Id") }
		}, doctor.Warn, "proxy", "removes X-Request-Id", "let the proxy pass"},
		{"the proxy answers preflights itself", func(s *site) {
			s.response = func(r *http.Response) { r.Header.Del("Access-Control-Allow-Origin") }
		}, doctor.Fail, "cors", "pages of https://app.example.com may not call the server", "pass OPTIONS"},
		{"the proxy adds CORS headers of its own", func(s *site) {
			s.response = func(r *http.Response) { r.Header.Add("Access-Control-Allow-Origin", "*") }
		}, doctor.Fail, "cors", "2 times, which browsers refuse", "add no CORS headers"},
		{"the certificate expires soon", func(s *site) {
			cert, key := certtest.Make(s, "localhost")
			s.config.TLSCert, s.config.TLSKey = filepath.Join(s.TempDir(), "tls.crt"), filepath.Join(s.TempDir(), "tls.key")
			for path, text := range map[string][]byte{s.config.TLSCert: cert, s.config.TLSKey: key} {
				if err := os.WriteFile(path, text, 0o600); err != nil {
					s.Fatal(err)
				}
			}
			s.now = func() time.Time { return time.Date(2099, 12, 25, 0, 0, 0, 0, time.UTC) }
			s.config.Issuer = "https://127.0.0.1:1" // nobody trusts the certificate
		}, doctor.Warn, "certificate", "it expires on 2100-01-01", "why it was not renewed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.plant(s)
			found := s.examine()
			var text bytes.Buffer
			hit := false
			for _, f := range found {
				text.WriteString(string(f.Level) + " " + f.Part + ": " + f.Text + " -> " + f.Mend + "\n")
				hit = hit || f.Level == c.level && f.Part == c.part && strings.Contains(f.Text, c.text) && strings.Contains(f.Mend, c.mend)
			}
			if !hit {
				t.Errorf("want %s %s: %s -> %s; found\n%s", c.level, c.part, c.text, c.mend, text.String())
			}
		})
	}
}
