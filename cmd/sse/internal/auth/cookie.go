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

// The cookie of a session contains the name of a key, the time when the cookie
// expires (in seconds since 1970), and an authentication code. Only a program that
// knows the secret of the key, or the hash of the secret, can compute the code:
//
//	NAME.EXPIRES.CODE
//
// The hub stores nothing for a session, so the cookie stays valid after a restart of
// the hub. Otherwise the hub would refuse each browser that reconnects after a
// restart, and an EventSource does not reconnect after a refusal. To end the sessions
// of a key, the operator removes the key or changes its secret.
const (
	cookieName = "sse_session"
	sessionAge = 7 * 24 * time.Hour
)

// Login returns a session cookie for the key with this secret. It fails if there is no
// such key.
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

// Logout returns a cookie with which the browser removes the cookie of Login. It does
// not make a copy of that cookie invalid.
func Logout() *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Path: "/", MaxAge: -1,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// code returns the authentication code of head, which is NAME.EXPIRES. The code is not
// valid for any other purpose of the key, because its input includes "sse session".
func (k *Key) code(head string) string {
	mac := hmac.New(sha256.New, k.sum[:])
	mac.Write([]byte("sse session\n" + head))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// checkSession returns the identity of a client that sends a session cookie with this
// value. It fails if the value is malformed, has expired, or belongs to no key.
func (a *Authority) checkSession(value string) (*Identity, error) {
	invalid := unauthorized("the session has expired, or its key was removed; log in at /-/login")
	dot := strings.LastIndexByte(value, '.')
	if dot < 0 {
		return nil, invalid
	}
	head, code := value[:dot], value[dot+1:]
	name, seconds, _ := strings.Cut(head, ".")
	key := a.names[name]
	if key == nil || !hmac.Equal([]byte(key.code(head)), []byte(code)) {
		return nil, invalid
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	expires := time.Unix(unix, 0)
	if err != nil || !a.now().Before(expires) {
		return nil, invalid
	}
	return key.identity(expires), nil
}
