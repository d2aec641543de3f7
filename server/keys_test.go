package server_test

import (
	"testing"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

func TestNewRefreshKey(t *testing.T) {
	a, err := server.NewRefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := server.NewRefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rotation.NewCodec(a, b); err != nil {
		t.Error(err)
	}
}
