package resource_test

import (
	"fmt"
	"log"
	"net/http"

	"github.com/tandem-auth/tandem/resource"
)

// An API whose orders need a scope.
func Example() {
	guard, err := resource.New(resource.Config{
		Issuer:   "https://auth.example.com",
		Resource: "https://api.example.com",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()

	mux := http.NewServeMux()
	mux.Handle(guard.Metadata())
	mux.Handle("GET /orders", guard.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := resource.FromContext(r.Context())
		fmt.Fprintln(w, "orders of", who.Username)
	}), "orders:read"))
	log.Fatal(http.ListenAndServe("localhost:8081", mux))
}
