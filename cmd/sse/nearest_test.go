package main

import "testing"

func TestFindNearest(t *testing.T) {
	names := []string{
		"count", "timeout", "idle-timeout", "json", "type", "retry", "max-retry", "raw",
	}
	for word, want := range map[string]string{
		"cuont": "count", "Count": "count", "timout": "timeout", "tiemout": "timeout",
		"jsno": "json", "types": "type", "idle": "idle-timeout", "max": "max-retry",
		"rwa": "raw", "x": "", "banana": "", "": "",
	} {
		if got := findNearest(word, names); got != want {
			t.Errorf("findNearest(%q) = %q, want %q", word, got, want)
		}
	}
}
