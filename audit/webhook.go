package audit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/internal/loopback"
	"github.com/tandem-auth/tandem/store"
)

// A Webhook gets records by POST, as JSON, signed as Standard Webhooks has it: the headers
// webhook-id (the record's ID, the same at every try), webhook-timestamp (seconds since 1970)
// and webhook-signature ("v1," and the HMAC-SHA256, in base64, of ID, timestamp and body,
// with dots between). The receiver answers 2xx once it has the record. Any other answer, or
// none, and the log sends it again, with pauses of up to a minute; a receiver must expect a
// record twice.
type Webhook struct {
	// URL is an https URL, or an http URL on this machine.
	URL string
	// Secret signs: at least 24 bytes.
	Secret []byte
	// Client sends. Defaults to one that follows no redirects.
	Client *http.Client
}

// minSecret is the least length of a secret (Standard Webhooks).
const minSecret = 24

// secretPrefix is what a secret in Standard Webhooks' notation begins with, before base64.
const secretPrefix = "whsec_"

// ParseSecret reads a secret: whsec_ and base64, or any text of at least 24 bytes.
func ParseSecret(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	secret := []byte(text)
	if encoded, is := strings.CutPrefix(text, secretPrefix); is {
		var err error
		if secret, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, errors.New("the secret begins with whsec_, but what follows is not base64")
		}
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the secret has %d bytes, want at least %d: make one with openssl rand -base64 32", len(secret), minSecret)
	}
	return secret, nil
}

// Check reports what is wrong with the URL or the secret.
func (w Webhook) Check() error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("its URL is not one such as https://siem.example.com/tandem")
	case u.Scheme == "http" && !loopback.IsHost(u.Hostname()):
		return errors.New("its URL is not https: records would cross the network in clear text")
	case len(w.Secret) < minSecret:
		return fmt.Errorf("its secret has %d bytes, want at least %d", len(w.Secret), minSecret)
	}
	return nil
}

func (w Webhook) post(ctx context.Context, records []store.AuditRecord) error {
	for _, r := range records {
		if err := w.postOne(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (w Webhook) postOne(ctx context.Context, r store.AuditRecord) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", r.ID)
	request.Header.Set("Webhook-Timestamp", at)
	request.Header.Set("Webhook-Signature", w.sign(r.ID, at, body))
	answer, err := w.Client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the receiver answered %s", answer.Status)
	}
	return nil
}

func (w Webhook) sign(id, at string, body []byte) string {
	mac := hmac.New(sha256.New, w.Secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
