package tandemoauth2_test

import (
	"context"
	"log"
	"os"

	"golang.org/x/oauth2"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tandemoauth2"
	"github.com/tandem-auth/tandem/tokenstore/filestore"
)

// A command-line tool that signs in with a device code once, and then stays signed in.
func Example() {
	ctx := context.Background()
	provider := &oauth2.Config{
		ClientID: "my-tool",
		Endpoint: oauth2.Endpoint{
			DeviceAuthURL: "https://login.example.com/device",
			TokenURL:      "https://login.example.com/token",
		},
	}
	config, err := tandemoauth2.Config(provider)
	if err != nil {
		log.Fatal(err)
	}
	refresher, err := tandem.NewOAuth2(config)
	if err != nil {
		log.Fatal(err)
	}
	store, err := filestore.Open(os.ExpandEnv("$HOME/.config/my-tool/session.json"))
	if err != nil {
		log.Fatal(err)
	}
	session, err := tandem.Open(ctx, store, tandem.Config{Refresher: refresher, Origins: []string{"https://api.example.com"}})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	if !session.Status().SignedIn {
		device, err := provider.DeviceAuth(ctx)
		if err != nil {
			log.Fatal(err)
		}
		log.Printf("open %s and type %s", device.VerificationURI, device.UserCode)
		token, err := provider.DeviceAccessToken(ctx, device)
		if err != nil {
			log.Fatal(err)
		}
		if err := session.SignInWith(ctx, "", tandemoauth2.Grant(token)); err != nil {
			log.Fatal(err)
		}
	}
	resp, err := session.Client().Get("https://api.example.com/orders")
	if err != nil {
		log.Fatal(err)
	}
	log.Print(resp.Status)
	_ = resp.Body.Close()
}
