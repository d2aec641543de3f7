// Package tandemgin guards the routes of a gin engine with a [resource.Guard].
//
//	router := gin.New()
//	orders := router.Group("/orders", tandemgin.Guard(guard, "orders:read"))
//	orders.GET("/", func(c *gin.Context) { c.JSON(200, list(tandemgin.Principal(c).Subject)) })
package tandemgin

import (
	"github.com/gin-gonic/gin"

	"github.com/tandem-auth/tandem/resource"
)

// Guard returns a middleware that passes a request on if it has a valid access token with
// these scopes. It ends every other request with the answer of [resource.Guard.Refuse].
func Guard(g *resource.Guard, scopes ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		p, err := g.Authenticate(c.Request, scopes...)
		if err != nil {
			g.Refuse(c.Writer, c.Request, err)
			c.Abort()
			return
		}
		c.Request = c.Request.WithContext(resource.NewContext(c.Request.Context(), p))
		c.Next()
	}
}

// Principal returns who sent the request, behind [Guard]. Elsewhere it returns nil. Do not
// change what it points to.
func Principal(c *gin.Context) *resource.Principal {
	p, _ := resource.FromContext(c.Request.Context())
	return p
}
