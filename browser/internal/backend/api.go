package backend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/tandem-auth/tandem/server"
)

// site serves, besides the front end,
//
//	GET  /api/me                who is signed in
//	POST /api/echo              what the request is: its headers, its body or the size of its file
//	GET  /api/file              a few bytes, as a file
//	GET  /api/nothing           204
//	GET  /api/events            an event stream that stays open
//	GET  /public/headers        the request's Authorization
//	     /envelope/…            the same, and /auth/…, as {code, data, msg} with status 200;
//	                            code is 0, or the status that it would have been
//	     /coded/…               the same with code "0000", or "9999" for a refused token
//	POST /test/expire           Expire
//	GET  /test/refreshes        Count(server.EventRefreshed)
func (b *Backend) site(s *server.Server) http.Handler {
	b.server = s
	mux := http.NewServeMux()
	api := http.NewServeMux()
	api.HandleFunc("GET /api/me", func(w http.ResponseWriter, r *http.Request) {
		access, _ := server.FromContext(r.Context())
		answer(w, http.StatusOK, map[string]string{"username": access.Username})
	})
	api.HandleFunc("POST /api/echo", echo)
	api.HandleFunc("GET /api/file", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write([]byte("a file"))
	})
	api.HandleFunc("GET /api/nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	api.HandleFunc("GET /api/events", events)
	mux.Handle("/api/", s.RequireSession(api))
	mux.HandleFunc("GET /public/headers", headers)
	all := http.NewServeMux()
	all.Handle("/api/", s.RequireSession(api))
	all.Handle("/auth/", s)
	mux.Handle("/envelope/", http.StripPrefix("/envelope", enveloped(all, func(status int) any {
		if status < http.StatusBadRequest {
			return 0
		}
		return status
	})))
	mux.Handle("/coded/", http.StripPrefix("/coded", enveloped(all, func(status int) any {
		switch {
		case status < http.StatusBadRequest:
			return "0000"
		case status == http.StatusUnauthorized:
			return "9999"
		default:
			return fmt.Sprint(status)
		}
	})))
	mux.HandleFunc("POST /test/expire", func(w http.ResponseWriter, _ *http.Request) {
		b.Expire()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /test/refreshes", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, b.Count(server.EventRefreshed))
	})
	mux.HandleFunc("/", b.page)
	return mux
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func echo(w http.ResponseWriter, r *http.Request) {
	reply := map[string]any{"headers": flat(r.Header)}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		file, _, err := r.FormFile("file")
		if err != nil {
			answer(w, http.StatusBadRequest, err.Error())
			return
		}
		defer file.Close()
		size, err := io.Copy(io.Discard, file)
		if err != nil {
			answer(w, http.StatusBadRequest, err.Error())
			return
		}
		reply["size"], reply["fields"] = size, r.MultipartForm.Value
	} else {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			answer(w, http.StatusBadRequest, err.Error())
			return
		}
		reply["body"] = string(body)
	}
	answer(w, http.StatusOK, reply)
}

// flat leaves out the credentials.
func flat(header http.Header) map[string]string {
	all := map[string]string{}
	for name, values := range header {
		if name != "Authorization" && name != "Cookie" {
			all[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return all
}

func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for n := range 2 {
		fmt.Fprintf(w, "data: %d\n\n", n)
	}
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// enveloped answers with what inner answers, in an envelope.
func enveloped(inner http.Handler, code func(status int) any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record := httptest.NewRecorder()
		inner.ServeHTTP(record, r)
		if record.Code < http.StatusBadRequest && !strings.Contains(record.Header().Get("Content-Type"), "json") {
			maps.Copy(w.Header(), record.Header())
			w.WriteHeader(record.Code)
			_, _ = record.Body.WriteTo(w)
			return
		}
		envelope := struct {
			Code any             `json:"code"`
			Data json.RawMessage `json:"data"`
			Msg  string          `json:"msg"`
		}{Code: code(record.Code), Data: json.RawMessage("null"), Msg: http.StatusText(record.Code)}
		if body := bytes.TrimSpace(record.Body.Bytes()); json.Valid(body) {
			envelope.Data = body
		}
		answer(w, http.StatusOK, envelope)
	})
}
