package resource

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// wellKnown is where the metadata of an API are, before the path of the API.
const wellKnown = "/.well-known/oauth-protected-resource"

type metadata struct {
	url  string // empty if the API has none
	path string
	json []byte
}

// newMetadata describes the API of a config (RFC 9728 section 2).
func newMetadata(config Config) (metadata, error) {
	if config.Resource == "" {
		return metadata{}, nil
	}
	at, err := url.Parse(config.Resource)
	if err != nil {
		return metadata{}, err
	}
	// The well-known part goes between the host and the path (section 3.1).
	at.Path = wellKnown + strings.TrimSuffix(at.Path, "/")
	at.RawPath = ""
	text, err := json.Marshal(struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Methods  []string `json:"bearer_methods_supported"`
		Scopes   []string `json:"scopes_supported,omitempty"`
	}{config.Resource, []string{config.Issuer}, []string{"header"}, config.Scopes})
	if err != nil {
		return metadata{}, fmt.Errorf("marshal the metadata of the API: %w", err)
	}
	return metadata{url: at.String(), path: at.Path, json: text}, nil
}

// Metadata returns the pattern and the handler of the document that describes the API
// (RFC 9728), for [http.ServeMux.Handle]. It is public. Without Config.Resource it panics.
func (g *Guard) Metadata() (pattern string, handler http.Handler) {
	if g.metadata.url == "" {
		panic("resource: Guard.Metadata needs Config.Resource")
	}
	return "GET " + g.metadata.path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header.Set("Content-Type", "application/json")
		header.Set("Cache-Control", "public, max-age=3600")
		header.Set("Access-Control-Allow-Origin", "*")
		_, _ = w.Write(g.metadata.json)
	})
}
