package ginx_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
)

func init() { gin.SetMode(gin.TestMode) }

// ask asks r without a connection, and returns the state if that is what the answer holds.
func ask(r *gin.Engine, method, path string) (status int, state string) {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	var body struct{ State string }
	if json.Unmarshal(w.Body.Bytes(), &body) != nil {
		return w.Code, ""
	}
	return w.Code, body.State
}

// output is what Gin and ginx print while f runs.
func output(t *testing.T, f func()) (printed, errors string) {
	t.Helper()
	var out, err bytes.Buffer
	outWas, errWas, modeWas := gin.DefaultWriter, gin.DefaultErrorWriter, gin.Mode()
	gin.DefaultWriter, gin.DefaultErrorWriter = &out, &err
	gin.SetMode(gin.DebugMode)
	defer func() {
		gin.DefaultWriter, gin.DefaultErrorWriter = outWas, errWas
		gin.SetMode(modeWas)
	}()
	f()
	return out.String(), err.String()
}
