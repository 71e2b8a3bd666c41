package api_test

import (
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// For each line that the parser of simple lines accepts, package json returns the same
// event.
func FuzzSimpleLine(f *testing.F) {
	for _, line := range []string{
		`{"data":"hello"}`, `{ "topics" : [ "a" , "b/c" ] , "data" : "x", "id":"1", "type":"t" } `,
		`{"data":"\u0061"}`, `{"data":"a\"b"}`, "{\"data\":\"a\tb\"}", `{"data":"é"}`, `{"data":""}`,
		`{"data":"a","data":"b"}`, `{"data":"","data":"b"}`, `{"id":"","id":"b"}`, `{"Data":"a"}`,
		`{"topics":["a"],"topics":["b"]}`, `{"topics":[]}`, `{"topics":null,"data":"x"}`,
		`{}`, `{"data":"x",}`, `{"data":"x"}}`, `{"data":"x"} x`, `{"data":null}`, `{"data":{"a":1}}`,
		`{"other":"x"}`, `{"retry":1,"data":"x"}`, `{,"data":"x"}`, `{"data" "x"}`, `{"topics":["a",]}`,
		`"data":"x"}`, `{"topics":["a"}`, `{"topics":["a","b"}`, `{"topics":"a"]}`, `{"topics":}`, `{"topics":[}`, `{"data":}`,
		`{data":"x"}`, `{"data":"}`, "{\"data\":\"\x1f\"}", "{\"data\":\",\t\"id\":\"x\"}",
		"\x0b{\"data\":\"x\"}", `"data"`, `{"data":"x"`, `{"data":"x`, ``,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, simple := api.ParseSimple([]byte(line))
		if !simple || !utf8.ValidString(line) {
			return
		}
		want, err := api.DecodeLine([]byte(line))
		if err != nil {
			t.Fatalf("%q was parsed as %+v, but is not valid: %v", line, got, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q was parsed as %+v, want %+v", line, got, want)
		}
	})
}

func TestSimpleLine(t *testing.T) {
	for _, line := range []string{
		`{"data":"hello"}`, `{"data":""}`, `{"data":"a b!"}`, "\t {\t \t\"data\"  : \t\"x\"\t\t}  ", ` {"topics": ["a", "b"], "data": "x", "id": "1", "type": "t"} `,
	} {
		if _, simple := api.ParseSimple([]byte(line)); !simple {
			t.Errorf("%q was not parsed as a simple line", line)
		}
	}
}
