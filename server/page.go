package server

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// How many sessions a page of a list has by default, and at most.
const (
	defaultPage = 100
	largestPage = 1000
)

// readPage reads the query fields after and limit.
func readPage(r *http.Request) (store.Page, error) {
	query := r.URL.Query()
	page := store.Page{Limit: defaultPage}
	if text := query.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > largestPage {
			return store.Page{}, invalidRequest("limit must be a number from 1 to %d", largestPage)
		}
		page.Limit = limit
	}
	if text := query.Get("after"); text != "" {
		place, err := parsePlace(text)
		if err != nil {
			return store.Page{}, invalidRequest("after must be the value of next in an earlier page")
		}
		page.After = place
	}
	return page, nil
}

var errNoPlace = errors.New("not a place in a list")

// formatPlace writes a place as milliseconds since 1970 and a session ID.
func formatPlace(place store.Place) string {
	return strconv.FormatInt(place.CreatedAt.UnixMilli(), 10) + "-" + place.ID.String()
}

func parsePlace(text string) (store.Place, error) {
	before, after, _ := strings.Cut(text, "-")
	millis, err := strconv.ParseInt(before, 10, 64)
	if err != nil || millis <= 0 || millis > 1<<48 { // 1<<48 ms is in the year 10889
		return store.Place{}, errNoPlace
	}
	id, err := rotation.ParseSessionID(after)
	if err != nil {
		return store.Place{}, errNoPlace
	}
	return store.Place{CreatedAt: time.UnixMilli(millis), ID: id}, nil
}
