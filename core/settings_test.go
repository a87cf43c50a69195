package core

import (
	"crypto/tls"
	"net/http"
	"reflect"
	"slices"
	"testing"
)

// knownSettings are net/http's settings for a server of which it was decided that they are copied as they are.
var knownSettings = []string{
	"Addr", "Handler", "DisableGeneralOptionsHandler", "TLSConfig", "ReadTimeout", "ReadHeaderTimeout", "WriteTimeout",
	"IdleTimeout", "MaxHeaderBytes", "TLSNextProto", "ConnState", "ErrorLog", "BaseContext", "ConnContext", "HTTP2", "Protocols",
	"MaxHeaderValueCount", "DisableClientPriority", // since Go 1.27
}

// TestNewInnerCopiesEverything fails when a Go release adds a setting to net/http's Server:
// it is copied, but that may not be enough.
func TestNewInnerCopiesEverything(t *testing.T) {
	t.Parallel()
	user := &http.Server{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}}
	v := reflect.ValueOf(user).Elem()
	fields := slices.DeleteFunc(reflect.VisibleFields(v.Type()), func(f reflect.StructField) bool {
		return !f.IsExported()
	})
	for i, field := range fields {
		if !slices.Contains(knownSettings, field.Name) {
			t.Errorf("http.Server has a new field %s: it is copied as it is. Is that right for a server that "+
				"stands for the program's (see copyOfUser), and for the two more that HTTP/2 has (http2.go, otherserver.go)? "+
				"Then add it to knownSettings", field.Name)
		}
		switch f := v.FieldByIndex(field.Index); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(i + 1))
		case reflect.String:
			f.SetString("x")
		case reflect.Func:
			f.Set(reflect.MakeFunc(f.Type(), nil))
		case reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
		case reflect.Pointer:
			if f.IsNil() {
				f.Set(reflect.New(f.Type().Elem()))
			}
		case reflect.Interface:
			f.Set(reflect.ValueOf(http.NotFoundHandler()))
		default:
			t.Fatalf("%s is of a kind that this test does not know", field.Name)
		}
	}
	inner := reflect.ValueOf((&server{user: user}).newInner()).Elem()
	ours := []string{"Handler", "ConnState", "BaseContext", "ConnContext"}
	for _, field := range fields {
		want, got := v.FieldByIndex(field.Index), inner.FieldByIndex(field.Index)
		if got.IsZero() {
			t.Errorf("%s is not copied", field.Name)
		}
		if !slices.Contains(ours, field.Name) && want.Comparable() && !want.Equal(got) {
			t.Errorf("%s is %v, want %v", field.Name, got, want)
		}
	}
}
