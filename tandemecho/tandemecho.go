// Package tandemecho guards the routes of an echo server with a [resource.Guard].
//
//	e := echo.New()
//	orders := e.Group("/orders", tandemecho.Guard(guard, "orders:read"))
//	orders.GET("", func(c *echo.Context) error { return c.JSON(200, list(tandemecho.Principal(c).Subject)) })
package tandemecho

import (
	"github.com/labstack/echo/v5"

	"github.com/tandem-auth/tandem/resource"
)

// Guard returns a middleware that passes a request on if it has a valid access token with
// these scopes. It ends every other request with the answer of [resource.Guard.Refuse], and
// not with an error: the server's error handler does not see it.
func Guard(g *resource.Guard, scopes ...string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			p, err := g.Authenticate(c.Request(), scopes...)
			if err != nil {
				g.Refuse(c.Response(), c.Request(), err)
				return nil
			}
			c.SetRequest(c.Request().WithContext(resource.NewContext(c.Request().Context(), p)))
			return next(c)
		}
	}
}

// Principal returns who sent the request, behind [Guard]. Elsewhere it returns nil. Do not
// change what it points to.
func Principal(c *echo.Context) *resource.Principal {
	p, _ := resource.FromContext(c.Request().Context())
	return p
}
