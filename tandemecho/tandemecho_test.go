package tandemecho_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/tandem-auth/tandem/internal/testkit/guardtest"
	"github.com/tandem-auth/tandem/resource"
	"github.com/tandem-auth/tandem/tandemecho"
)

func TestAGuardedRoute(t *testing.T) {
	guardtest.Run(t, func(g *resource.Guard, scopes ...string) http.Handler {
		e := echo.New()
		e.GET("/orders", func(c *echo.Context) error {
			return c.String(http.StatusOK, tandemecho.Principal(c).Username)
		}, tandemecho.Guard(g, scopes...))
		e.GET("/public", func(c *echo.Context) error {
			if tandemecho.Principal(c) != nil {
				t.Error("a public route has a principal")
			}
			return nil
		})
		e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/public", nil))
		return e
	})
}
