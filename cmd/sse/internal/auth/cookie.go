package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The cookie of a session has the name of a key, when it expires, and a code that
// only who knows the key's secret can make:
//
//	NAME.EXPIRES.CODE
//
// Nothing of it is kept here: so it is as good after a restart of the hub, or a
// browser's stream would end for good with one. It ends with its key.
const (
	cookieName = "sse_session"
	sessionAge = 7 * 24 * time.Hour
)

// Login returns the cookie for a secret.
func (a *Authority) Login(secret string) (*http.Cookie, error) {
	key := a.key(secret)
	if key == nil {
		return nil, unauthorized("the key is unknown")
	}
	expires := a.now().Add(sessionAge).Truncate(time.Second)
	head := key.Name + "." + strconv.FormatInt(expires.Unix(), 10)
	return &http.Cookie{
		Name: cookieName, Value: head + "." + key.code(head), Path: "/", Expires: expires,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}, nil
}

// Logout returns the cookie that removes the one of Login.
func Logout() *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Path: "/", MaxAge: -1,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// code is an authentication code of a cookie's head. The label keeps what is made
// with the key for other purposes apart.
func (k *Key) code(head string) string {
	mac := hmac.New(sha256.New, k.sum[:])
	mac.Write([]byte("sse session\n" + head))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// session says whose cookie it is.
func (a *Authority) session(value string) (*Who, error) {
	wrong := unauthorized("the session is over, or its key is gone: log in at /-/login")
	dot := strings.LastIndexByte(value, '.')
	if dot < 0 {
		return nil, wrong
	}
	head, code := value[:dot], value[dot+1:]
	name, seconds, _ := strings.Cut(head, ".")
	key := a.names[name]
	if key == nil || !hmac.Equal([]byte(key.code(head)), []byte(code)) {
		return nil, wrong
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	expires := time.Unix(unix, 0)
	if err != nil || !a.now().Before(expires) {
		return nil, wrong
	}
	return key.who(expires), nil
}
