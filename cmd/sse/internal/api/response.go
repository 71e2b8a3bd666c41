package api

import (
	"encoding/json"
	"net/http"
)

// Values of headers that many responses have. All responses share these slices. This
// is safe: an append copies a slice whose capacity equals its length.
var (
	noStore   = []string{"no-store, no-transform"}
	noSniff   = []string{"nosniff"}
	vary      = []string{"Accept, Origin, Authorization, Cookie"}
	plainText = []string{"text/plain; charset=utf-8"}
)

// respond writes body with status 200. If the request asks for JSON and fields is not
// nil, respond writes fields as JSON instead.
func respond(w http.ResponseWriter, r *http.Request, body string, fields map[string]any) error {
	if fields != nil && wantsJSON(r) {
		writeJSON(w, http.StatusOK, fields)
		return nil
	}
	w.Header()["Content-Type"] = plainText
	_, _ = w.Write([]byte(body)) // the client may have disconnected
	return nil
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client may have disconnected
}
