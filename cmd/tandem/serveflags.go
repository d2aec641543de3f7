package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/internal/backup"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/server"
)

// serveFlags are the settings of a server: flags, variables of the environment and keys of
// the configuration file.
type serveFlags struct {
	Config kong.ConfigFlag `placeholder:"FILE" help:"Read settings from a YAML file whose keys are the names of these flags, such as access-ttl: 15m."`

	storeFlags    `embed:""`
	MasterKeyFile string `placeholder:"FILE" help:"File with the master key that seals the keys in the store; without it, TANDEM_MASTER_KEY has the key itself. Of a SQLite database, it defaults to the file beside it, which is made if need be."`

	Listen string `default:"localhost:8080" placeholder:"ADDR" help:"Address to listen on (default ${default}); :8080 is every interface, systemd the socket that systemd passes."`
	Issuer string `placeholder:"URL" help:"Address that clients reach the server at; the iss claim. Defaults to that of --listen with a SQLite database; needed with another store."`

	TLSCert string `name:"tls-cert" placeholder:"FILE" help:"Serve TLS with this certificate (PEM, with those between it and the root). The server reads it again when it is renewed."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" help:"Key of --tls-cert (PEM)."`

	AccessTTL  time.Duration `name:"access-ttl" default:"2h" help:"How long an access token is good for (default ${default})."`
	RefreshTTL time.Duration `name:"refresh-ttl" default:"168h" help:"How long a user may stay away without signing in again (default ${default})."`
	SessionTTL time.Duration `name:"session-ttl" default:"2160h" help:"How long a session lasts at most (default ${default})."`

	MaxSessions int `default:"100" placeholder:"N" help:"How many sessions a user may have; one more ends the one that was idle for longest (default ${default}); 0 is without bound."`

	Leeway      time.Duration `default:"10s" help:"How long after a refresh an older refresh token counts as a delayed duplicate (default ${default})."`
	RetryWindow retryWindow   `default:"unlimited" placeholder:"DURATION" help:"How long a refresh token may be used again while no successor was; 0 is textbook rotation, which signs people out when replies get lost (default ${default})."`

	SigningAlg  string        `enum:"ES256,EdDSA,RS256" default:"ES256" help:"How access tokens are signed: ES256, EdDSA or RS256 (default ${default})."`
	RotateKeys  time.Duration `default:"720h" help:"How long a key makes tokens before the next one does (default ${default}); 0 is for ever."`
	PublishKeys time.Duration `default:"24h" help:"How long a key is published before it makes tokens (default ${default})."`
	Audience    string        `help:"The aud claim of access tokens. Defaults to the issuer."`
	ClientID    string        `name:"client-id" help:"The client_id claim of access tokens (default tandem)."`
	Origins     []string      `name:"allow-origin" placeholder:"ORIGIN" help:"Origin whose pages may call the server (CORS), such as https://app.example.com; repeatable."`

	Headers        []string `name:"allow-header" placeholder:"NAME" help:"Request header that pages of --allow-origin may set; repeatable. Defaults to all."`
	Credentials    bool     `name:"allow-credentials" help:"Let pages of --allow-origin send cookies, for a proxy before the server that needs them (withCredentials)."`
	CookieSameSite sameSite `name:"cookie-samesite" enum:"strict,lax,none" default:"strict" help:"Which pages' requests bring the cookies of cookie mode: strict or lax for pages of the server's site, none for pages of --allow-origin on other sites too, which needs https (default ${default})."`

	PathPrefix string `placeholder:"PATH" help:"What the paths of the endpoints begin with, such as /api for /api/auth/login; clients have it in their URL."`

	TrustedProxies []network     `name:"trust-proxy" placeholder:"CIDR" help:"Network or address of a proxy whose X-Forwarded-For and X-Request-Id are believed, such as 10.0.0.0/8; repeatable."`
	DrainDelay     time.Duration `default:"0s" help:"How long /readyz says no before the server takes no more requests, for a load balancer to notice (default ${default})."`
	DrainTimeout   time.Duration `default:"20s" help:"How long requests may take to finish once the server is told to stop (default ${default})."`

	Metrics string `placeholder:"ADDR" help:"Address for Prometheus, such as localhost:9090: /metrics, /healthz and /readyz. Without it, there are no metrics."`
	OTLP    string `name:"otlp" placeholder:"URL" help:"Collector for OpenTelemetry traces (OTLP over HTTP), such as http://localhost:4318."`

	BackupDir       string        `placeholder:"DIR" help:"Folder for backups on a schedule, of a SQLite database; better on another disk. Without it, there are none."`
	BackupEvery     time.Duration `default:"24h" help:"How often to make a backup (default ${default})."`
	BackupKeep      int           `default:"14" placeholder:"N" help:"How many backups to keep (default ${default})."`
	BackupRecipient []string      `placeholder:"KEY" help:"Seal backups for this recipient, age1…, of tandem backup-key or age-keygen; repeatable."`

	AuditFile              string        `placeholder:"FILE" help:"File that gets the audit log too, one line of JSON a record; it may be rotated."`
	AuditWebhook           string        `name:"audit-webhook" placeholder:"URL" help:"Address that gets each record of the audit log by POST, signed as Standard Webhooks has it."`
	AuditWebhookSecretFile string        `placeholder:"FILE" help:"File with the secret that signs for --audit-webhook: whsec_… or 24 bytes and more."`
	AuditKeep              time.Duration `default:"2160h" help:"How long the store keeps the audit log (default ${default})."`

	logFlags `embed:""`
}

// daemonConfig returns the configuration of the server. It reads the master key and the
// store's URL from their files.
func (cmd *serveFlags) daemonConfig() (daemon.Config, error) {
	location, err := cmd.location()
	if err != nil {
		return daemon.Config{}, err
	}
	masters, err := masterKeys(cmd.MasterKeyFile)
	if err != nil {
		return daemon.Config{}, err
	}
	if location.Path() == "" && cmd.Issuer == "" {
		return daemon.Config{}, errors.New("--issuer is needed, the same on all servers that share a store: the address that clients reach them at, such as https://auth.example.com")
	}
	recipients, err := backup.ParseRecipients(cmd.BackupRecipient)
	if err != nil {
		return daemon.Config{}, fmt.Errorf("--backup-recipient: %w", err)
	}
	trail, err := cmd.auditConfig()
	if err != nil {
		return daemon.Config{}, err
	}
	return daemon.Config{
		Audit:            trail,
		Backup:           backup.Config{Dir: cmd.BackupDir, Every: cmd.BackupEvery, Keep: cmd.BackupKeep, Recipients: recipients},
		Metrics:          cmd.Metrics,
		OTLP:             cmd.OTLP,
		Version:          strings.TrimPrefix(versionText(), "tandem "),
		Store:            location,
		MasterKeys:       masters,
		RotateKeys:       noneIsNegative(cmd.RotateKeys),
		PublishKeys:      cmd.PublishKeys,
		Listen:           cmd.Listen,
		TLSCert:          cmd.TLSCert,
		TLSKey:           cmd.TLSKey,
		Issuer:           cmd.Issuer,
		Audience:         cmd.Audience,
		ClientID:         cmd.ClientID,
		Algorithm:        server.Algorithm(cmd.SigningAlg),
		AccessTTL:        cmd.AccessTTL,
		RefreshTTL:       cmd.RefreshTTL,
		SessionTTL:       cmd.SessionTTL,
		Leeway:           noneIsNegative(cmd.Leeway),
		RetryWindow:      time.Duration(cmd.RetryWindow),
		MaxSessions:      noneIsNegative(cmd.MaxSessions),
		AllowedOrigins:   cmd.Origins,
		AllowedHeaders:   cmd.Headers,
		AllowCredentials: cmd.Credentials,
		CookieSameSite:   cmd.CookieSameSite.mode(),
		Prefix:           cmd.PathPrefix,
		TrustedProxies:   prefixes(cmd.TrustedProxies),
		DrainDelay:       cmd.DrainDelay,
		DrainTimeout:     cmd.DrainTimeout,
	}, nil
}

// auditConfig returns where the audit log goes. It reads the secret from its file.
func (cmd *serveFlags) auditConfig() (audit.Config, error) {
	config := audit.Config{File: cmd.AuditFile, Keep: cmd.AuditKeep}
	if cmd.AuditWebhook == "" {
		return config, nil
	}
	text, err := os.ReadFile(cmd.AuditWebhookSecretFile)
	if err != nil {
		return audit.Config{}, fmt.Errorf("--audit-webhook-secret-file: %w", err)
	}
	secret, err := audit.ParseSecret(string(text))
	if err != nil {
		return audit.Config{}, fmt.Errorf("--audit-webhook-secret-file: %w", err)
	}
	config.Webhook = audit.Webhook{URL: cmd.AuditWebhook, Secret: secret}
	return config, nil
}

// flagsOfFields maps fields of server.Config and keys.Config to the flags that set them.
var flagsOfFields = map[string]string{
	"AccessTTL":      "access-ttl",
	"Algorithm":      "signing-alg",
	"AllowedHeaders": "allow-header",
	"AllowedOrigins": "allow-origin",
	"Audience":       "audience",
	"ClientID":       "client-id",
	"CookieSameSite": "cookie-samesite",
	"Issuer":         "issuer",
	"Leeway":         "leeway",
	"PublishAhead":   "publish-keys",
	"RefreshTTL":     "refresh-ttl",
	"RetryWindow":    "retry-window",
	"RotateEvery":    "rotate-keys",
	"SessionTTL":     "session-ttl",
	"TrustedProxies": "trust-proxy",

	"AllowCredentials": "allow-credentials",
	"Audit":            "audit-…",
	"Backup":           "backup-…",
	"MasterKeys":       "master-key-file",
	"Prefix":           "path-prefix",
}

// flagsOf returns the flags that set fields of [daemon.Config], for a person.
func flagsOf(fields []string) []string {
	var flags []string
	for _, field := range fields {
		name, known := flagsOfFields[field]
		if !known {
			name = strings.ToLower(kebab.ReplaceAllString(field, "$1-$2"))
		}
		flags = append(flags, "--"+name)
	}
	return flags
}

var kebab = regexp.MustCompile(`([a-z])([A-Z])`)

// configField matches the part of an error that names a field of a Config.
var configField = regexp.MustCompile(`\b(?:server|keys): Config\.([A-Za-z]+): `)

// nameFlag replaces the field of a Config that an error names with the flag that sets it.
func nameFlag(err error) error {
	text := configField.ReplaceAllStringFunc(err.Error(), func(match string) string {
		if flag, known := flagsOfFields[configField.FindStringSubmatch(match)[1]]; known {
			return "--" + flag + ": "
		}
		return match
	})
	if text == err.Error() {
		return err
	}
	return &wordedError{text: text, err: err}
}

// Validate refuses values that are out of range, among them zeros and negative numbers
// that have a meaning of their own in the server's configuration.
func (cmd *serveFlags) Validate() error {
	if err := cmd.storeFlags.Validate(); err != nil {
		return err
	}
	if cmd.RotateKeys < 0 || cmd.PublishKeys < 0 || cmd.RotateKeys > 0 && cmd.PublishKeys >= cmd.RotateKeys {
		return errors.New("--publish-keys must be less than --rotate-keys, and neither negative")
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"access-ttl", cmd.AccessTTL}, {"refresh-ttl", cmd.RefreshTTL}, {"session-ttl", cmd.SessionTTL}, {"drain-timeout", cmd.DrainTimeout}} {
		if f.value < time.Second {
			return fmt.Errorf("--%s: %s is less than a second; durations are written like 90s, 15m or 2h", f.name, f.value)
		}
	}
	if cmd.Leeway < 0 || cmd.DrainDelay < 0 || cmd.MaxSessions < 0 {
		return errors.New("--leeway, --drain-delay and --max-sessions must not be negative")
	}
	if (cmd.AuditWebhook == "") != (cmd.AuditWebhookSecretFile == "") {
		return errors.New("--audit-webhook and --audit-webhook-secret-file belong together: give both, or neither")
	}
	if cmd.BackupKeep < 1 {
		return fmt.Errorf("--backup-keep: %d is less than 1", cmd.BackupKeep)
	}
	if cmd.AuditKeep < time.Hour {
		return fmt.Errorf("--audit-keep: %s is less than an hour; durations are written like 720h", cmd.AuditKeep)
	}
	if (cmd.TLSCert == "") != (cmd.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key belong together: give both, or neither")
	}
	return nil
}

// noneIsNegative turns 0, with which a flag says "none", into the negative number that says
// so in the server's configuration, where 0 is the default.
func noneIsNegative[T int | time.Duration](d T) T {
	if d == 0 {
		return -1
	}
	return d
}

// A retryWindow is the RetryWindow of server.Config, in the notation of the flag.
type retryWindow time.Duration

// UnmarshalText parses a duration or "unlimited".
func (w *retryWindow) UnmarshalText(text []byte) error {
	if string(text) == "unlimited" {
		*w = 0
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fmt.Errorf("%q is neither \"unlimited\" nor a duration such as 0s or 1m", text)
	}
	*w = retryWindow(noneIsNegative(d))
	return nil
}

// String returns the window in the notation of the flag.
func (w retryWindow) String() string {
	switch {
	case w == 0:
		return "unlimited"
	case w < 0:
		return "0s"
	}
	return time.Duration(w).String()
}

// A sameSite is the CookieSameSite of server.Config, in the notation of the flag.
type sameSite string

func (s sameSite) mode() http.SameSite {
	switch s {
	case "lax":
		return http.SameSiteLaxMode
	case "none":
		return http.SameSiteNoneMode
	}
	return http.SameSiteStrictMode
}

// A network is one that --trust-proxy names: by its prefix, or one address.
type network struct{ netip.Prefix }

// UnmarshalText parses a prefix or an address.
func (n *network) UnmarshalText(text []byte) error {
	if addr, err := netip.ParseAddr(string(text)); err == nil {
		n.Prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		return nil
	}
	prefix, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf("%q is no network such as 10.0.0.0/8, and no address such as 10.0.0.1", text)
	}
	if prefix != prefix.Masked() {
		return fmt.Errorf("%s has bits beyond its /%d: is it %s, or the address %s alone?", prefix, prefix.Bits(), prefix.Masked(), prefix.Addr())
	}
	n.Prefix = prefix
	return nil
}

func prefixes(networks []network) []netip.Prefix {
	var found []netip.Prefix
	for _, n := range networks {
		found = append(found, n.Prefix)
	}
	return found
}
