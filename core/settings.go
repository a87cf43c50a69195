package core

import (
	"net/http"
	"reflect"
)

// copyOfUser returns a server with the settings of the program's, as it is to serve its
// connections. It goes over the exported fields, so that a setting which net/http has only
// since a later release than this code's is not lost. Whether it has to be changed
// on its way, as those below, is decided when TestNewInnerCopiesEverything is made to pass with
// that release.
func (s *server) copyOfUser() *http.Server {
	c := new(http.Server)
	from, to := reflect.ValueOf(s.user).Elem(), reflect.ValueOf(c).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	c.Handler = s
	c.ConnState = s.onConnState
	c.BaseContext = s.baseContext
	c.ConnContext = s.onConnContext
	return c
}
