package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
)

// tryOut calls the example's program, as its users would.
func tryOut(program http.Handler) {
	get := func(token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/hello", http.NoBody)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		program.ServeHTTP(w, r)
		return w
	}
	fmt.Println(get("").Code, "without a token")

	r := httptest.NewRequest(http.MethodPost, "/auth/login", strings.NewReader(`{"username":"alice","password":"wonderland"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	program.ServeHTTP(w, r)
	var pair struct {
		AccessToken string `json:"accessToken"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &pair); err != nil {
		fmt.Println(err)
	}
	answer := get(pair.AccessToken)
	fmt.Println(answer.Code, answer.Body)
}
