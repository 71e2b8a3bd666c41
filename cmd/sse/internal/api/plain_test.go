package api_test

import (
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// What is read without package json is what that makes of it.
func FuzzPlainLine(f *testing.F) {
	for _, line := range []string{
		`{"data":"hello"}`, `{ "topics" : [ "a" , "b/c" ] , "data" : "x", "id":"1", "type":"t" } `,
		`{"data":"\u0061"}`, `{"data":"a\"b"}`, "{\"data\":\"a\tb\"}", `{"data":"é"}`, `{"data":""}`,
		`{"data":"a","data":"b"}`, `{"data":"","data":"b"}`, `{"id":"","id":"b"}`, `{"Data":"a"}`,
		`{"topics":["a"],"topics":["b"]}`, `{"topics":[]}`, `{"topics":null,"data":"x"}`,
		`{}`, `{"data":"x",}`, `{"data":"x"}}`, `{"data":"x"} x`, `{"data":null}`, `{"data":{"a":1}}`,
		`{"other":"x"}`, `{"retry":1,"data":"x"}`, `{,"data":"x"}`, `{"data" "x"}`, `{"topics":["a",]}`,
		"\x0b{\"data\":\"x\"}", `"data"`, `{"data":"x"`, `{"data":"x`, ``,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, plain := api.ParsePlain([]byte(line))
		if !plain || !utf8.ValidString(line) {
			return
		}
		want, err := api.DecodeLine([]byte(line))
		if err != nil {
			t.Fatalf("%q is read as %+v, and is none: %v", line, got, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %+v, want %+v", line, got, want)
		}
	})
}

func TestPlainLine(t *testing.T) {
	for _, line := range []string{
		`{"data":"hello"}`, ` {"topics": ["a", "b"], "data": "x", "id": "1", "type": "t"} `,
	} {
		if _, plain := api.ParsePlain([]byte(line)); !plain {
			t.Errorf("%q is not read as a plain line", line)
		}
	}
}
