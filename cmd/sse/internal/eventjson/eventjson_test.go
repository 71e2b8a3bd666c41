package eventjson_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/eventjson"
)

// The fields have these names and this order. Only type and data are always present.
func TestEvent(t *testing.T) {
	at := eventjson.FormatTime(time.Date(2026, 1, 2, 13, 0, 0, 500, time.FixedZone("", 3600)))
	all := eventjson.New(sse.Event{
		ID: "i", Type: "t", Data: "d", Topic: "unused", Retry: 1500 * time.Millisecond,
	}, "a", "b")
	all.Time, all.Received = at, at
	for _, test := range []struct {
		event eventjson.Event
		want  string
	}{
		{all, `{"topics":["a","b"],"id":"i","type":"t","data":"d","retry":1500,` +
			`"time":"2026-01-02T12:00:00.000000500Z","received":"2026-01-02T12:00:00.000000500Z"}`},
		{eventjson.New(sse.Event{}), `{"type":"message","data":""}`},
	} {
		got, err := json.Marshal(test.event)
		if err != nil || string(got) != test.want {
			t.Errorf("got %s, %v, want %s", got, err, test.want)
		}
	}
}
