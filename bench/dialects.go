package bench

import (
	"encoding/json"
	"net/url"
)

var tandemDialect = &dialect{
	contentType: "application/json",
	signInPath:  "/auth/login",
	refreshPath: "/auth/refresh-token",
	signIn: func(username, password string) []byte {
		body, err := json.Marshal(map[string]string{"username": username, "password": password})
		if err != nil {
			panic(err) // strings can be marshaled
		}
		return body
	},
	before: `{"refreshToken":"`,
	after:  `"}`,
	mark:   `"refreshToken":"`,
}

var peerDialect = &dialect{
	contentType: "application/x-www-form-urlencoded",
	signInPath:  "/token",
	refreshPath: "/token",
	signIn: func(username, password string) []byte {
		return []byte(url.Values{
			"grant_type": {"password"}, "client_id": {"bench"}, "username": {username}, "password": {password},
		}.Encode())
	},
	before: "grant_type=refresh_token&client_id=bench&refresh_token=",
	mark:   `"refresh_token":"`,
}
