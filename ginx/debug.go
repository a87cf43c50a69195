package ginx

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// debugf prints as Gin does in debug mode. Gin's own function is private.
func debugf(format string, values ...any) {
	switch {
	case !gin.IsDebugging():
	case gin.DebugPrintFunc != nil:
		gin.DebugPrintFunc(format, values...)
	default:
		fmt.Fprintf(gin.DefaultWriter, "[GIN-debug] "+strings.TrimSuffix(format, "\n")+"\n", values...)
	}
}

func debugError(err error) {
	if err != nil && gin.IsDebugging() {
		fmt.Fprintf(gin.DefaultErrorWriter, "[GIN-debug] [ERROR] %v\n", err)
	}
}

// warnTrustedProxies prints the warning that Gin's run methods begin with.
func warnTrustedProxies(r *gin.Engine) {
	if gin.IsDebugging() && trustsEveryone(r) {
		debugf("[WARNING] You trusted all proxies, this is NOT safe. We recommend you to set a value.\n" +
			"Please check https://github.com/gin-gonic/gin/blob/master/docs/doc.md#dont-trust-all-proxies for details.")
	}
}

// trustsEveryone reports whether r believes what any peer says about where a request comes from. Gin keeps
// its list of proxies to itself, but not what it makes of a request from one.
func trustsEveryone(r *gin.Engine) bool {
	const claimed = "192.0.2.1" // TEST-NET-1, RFC 5737
	c := gin.CreateTestContextOnly(nil, r)
	c.Request = &http.Request{Header: make(http.Header)}
	for _, name := range r.RemoteIPHeaders {
		c.Request.Header.Set(name, claimed)
	}
	for _, peer := range []string{"0.0.0.0:0", "[::]:0"} { // the two that Gin looks at
		c.Request.RemoteAddr = peer
		if c.ClientIP() == claimed {
			return true
		}
	}
	return false
}
