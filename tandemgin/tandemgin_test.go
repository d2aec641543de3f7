package tandemgin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/tandem-auth/tandem/internal/testkit/guardtest"
	"github.com/tandem-auth/tandem/resource"
	"github.com/tandem-auth/tandem/tandemgin"
)

func TestAGuardedRoute(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	guardtest.Run(t, func(g *resource.Guard, scopes ...string) http.Handler {
		router := gin.New()
		router.GET("/orders", tandemgin.Guard(g, scopes...), func(c *gin.Context) {
			c.String(http.StatusOK, tandemgin.Principal(c).Username)
		})
		router.GET("/public", func(c *gin.Context) {
			if tandemgin.Principal(c) != nil {
				t.Error("a public route has a principal")
			}
		})
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/public", nil))
		return router
	})
}
