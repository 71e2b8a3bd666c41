package auth_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

func TestNamesAndSecrets(t *testing.T) {
	const (
		name      = "sse: the name of a key must be at most 64 letters, digits, - and _"
		short     = "sse: the secret of a key must have at least 16 characters"
		character = "sse: the secret of a key must have only letters, digits and - . _ ~ + /, and = only " +
			"at its end, because the header Authorization allows nothing else"
	)
	type test struct{ name, secret, want string }
	tests := []test{
		{strings.Repeat("x", 64), secret, ""},
		{strings.Repeat("x", 65), secret, name},
		{"a-b_c", secret, ""},
		{"azAZ09", secret, ""},
		{"k", "azAZ09-._~+/wxyz", ""},
		{"k", "azAZ09-._~+/xyz=", ""},
		{"k", secret + "==", ""},
		{"k", secret + "====", ""},
		{"k", "azAZ09-._~+/=xyz", character},
		{"k", "=" + secret, character},
		{"k", secret + "=x=", character},
		{"k", strings.Repeat("=", 16), character},
		{"k", strings.Repeat("x", 15), short},
		{"k", strings.Repeat("x", 16), ""},
	}
	// Characters that are not allowed, such as the neighbors of 0, 9, A, Z, a and z.
	for _, c := range "`{@[/:.+=~é" {
		tests = append(tests, test{"a" + string(c), secret, name})
	}
	for _, c := range "`{@[:,*!\"\\é" {
		tests = append(tests, test{"k", secret + string(c), character})
	}
	for _, test := range tests {
		key, err := auth.ParseKey(test.name + " " + test.secret + " publish a")
		got := ""
		if err != nil {
			got = "sse: " + err.Error()
		}
		if got != test.want {
			t.Errorf("%s %s: %q, want %q", test.name, test.secret, got, test.want)
		}
		if err == nil && key.Name != test.name {
			t.Errorf("the name of the key is %q, want %q", key.Name, test.name)
		}
	}
}

func TestReadKeys(t *testing.T) {
	const line = " " + secret + " publish a"
	keys, err := auth.ReadKeys(strings.NewReader("# x\na" + line + "\n\n  \n #\n b" + line + "\n"))
	if err != nil || len(keys) != 2 || keys[0].Name != "a" || keys[1].Name != "b" {
		t.Errorf("read %+v, %v, want the keys a and b", keys, err)
	}
	failure := errors.New("disk")
	if _, err := auth.ReadKeys(iotest.ErrReader(failure)); !errors.Is(err, failure) {
		t.Errorf("the error of the reader was returned as %v", err)
	}
}

func TestKeysMustDiffer(t *testing.T) {
	for _, test := range []struct{ names, secrets [2]string }{
		{[2]string{"a", "a"}, [2]string{secret, secret + "x"}},
		{[2]string{"a", "b"}, [2]string{secret, secret}},
	} {
		var keys []auth.Key
		for i, name := range test.names {
			key, err := auth.ParseKey(name + " " + test.secrets[i] + " publish a")
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		want := "sse: the names of keys must be unique, and two keys are named a"
		if test.names[1] == "b" {
			want = "sse: each key must have its own secret, and the keys a and b have the same"
		}
		if a, err := auth.New(keys, nil); textOf(err) != want || a != nil {
			t.Errorf("%v: %v, %v, want %q", test.names, a, err, want)
		}
	}
}

// Scripts cannot read the session cookie (HttpOnly), and a browser does not send it
// with requests of other sites (SameSite=Strict). Logout returns a cookie with which
// the browser removes the session cookie.
func TestSessionCookies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := auth.ParseKey("k " + secret + " subscribe a")
		if err != nil {
			t.Fatal(err)
		}
		a, err := auth.New([]auth.Key{key}, nil) // it uses time.Now, which synctest controls
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second / 2)
		cookie, err := a.Login(secret)
		if err != nil {
			t.Fatal(err)
		}
		expires := time.Now().Add(7*24*time.Hour - time.Second/2) // truncated to whole seconds
		if prefix := "k."; !strings.HasPrefix(cookie.Value, prefix) || !cookie.Expires.Equal(expires) {
			t.Errorf("the cookie is %v, want one of k until %v", cookie, expires)
		}
		want := &http.Cookie{Name: "sse_session", Value: cookie.Value, Path: "/", Expires: cookie.Expires,
			HttpOnly: true, SameSite: http.SameSiteStrictMode}
		if !reflect.DeepEqual(cookie, want) {
			t.Errorf("the cookie is %+v, want %+v", cookie, want)
		}
	})
	out := &http.Cookie{Name: "sse_session", Path: "/", MaxAge: -1, HttpOnly: true,
		SameSite: http.SameSiteStrictMode}
	if got := auth.Logout(); !reflect.DeepEqual(got, out) {
		t.Errorf("logging out sets %+v, want %+v", got, out)
	}
}

func TestMalformedCookies(t *testing.T) {
	a, _ := newAuthority(t, "k "+secret+" subscribe a", "l "+secret+"x subscribe a")
	cookie, err := a.Login(secret)
	if err != nil {
		t.Fatal(err)
	}
	name, rest, _ := strings.Cut(cookie.Value, ".")
	seconds, code, _ := strings.Cut(rest, ".")
	for _, test := range []struct {
		value string
		want  int
	}{
		{name + "." + seconds + "." + code, 200},
		{"", 401},
		{".", 401},
		{"." + code, 401},
		{"..", 401},
		{name, 401},
		{name + "." + code, 401},
		{name + "." + seconds, 401},
		{name + "." + seconds + ".", 401},
		{"x." + seconds + "." + code, 401}, // an unknown key
		{"l." + seconds + "." + code, 401}, // another key
		{name + "." + seconds + "0." + code, 401},
		{name + "." + seconds + "." + code + "A", 401},
		{name + "." + seconds + ".x." + code, 401},
	} {
		_, err := a.Identify(request("Cookie", "sse_session="+test.value), nil)
		if got := statusOf(err); got != test.want {
			t.Errorf("%q: %d (%v), want %d", test.value, got, err, test.want)
		}
	}
}

// ReadKeys skips a byte order mark at the beginning of a file, and only there.
func TestKeysWithByteOrderMark(t *testing.T) {
	const mark, line = "\ufeff", "k 0123456789abcdef publish **\n"
	for _, text := range []string{mark + line, mark + "# comment\r\n" + line, mark + "\n" + line} {
		keys, err := auth.ReadKeys(strings.NewReader(text))
		if err != nil || len(keys) != 1 || keys[0].Name != "k" {
			t.Errorf("%q: the keys are %v (%v), want k", text, keys, err)
		}
	}
	for _, text := range []string{mark + mark + line, line + mark + line} {
		if keys, err := auth.ReadKeys(strings.NewReader(text)); err == nil {
			t.Errorf("%q: the keys are %v, want an error", text, keys)
		}
	}
}
