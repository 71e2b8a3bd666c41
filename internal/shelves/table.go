package main

import (
	"fmt"
	"slices"
	"strings"
)

// A shelf is a group of files of package sse. A file may use the declarations of
// its own shelf, of lower shelves, and of shelves on the same floor.
type shelf struct {
	name  string
	floor int    // number of the floor; several shelves may be on one floor
	files string // names of files without .go, separated by spaces
	order int    // index in the list, set by place
}

// shelves lists every non-test file of package sse, except doc.go, from the
// bottom to the top. A file for one system, such as x_linux.go, is listed without
// the name of the system.
//
// The broker and its subscribers are on one floor, because one lock guards them and
// they have pointers to each other.
var shelves = []shelf{
	{name: "vocabulary", floor: 1, files: `errors event topic position selection start gap eventlog
		retention`},
	{name: "codec", floor: 2, files: `encode decode linereader`},
	{name: "client", floor: 3, files: `client session attempt request redirect mediatype watchdog`},
	{name: "stream", floor: 4, files: `accept stream conncontext`},
	{name: "window", floor: 5, files: `window window_topics window_locate entry draft chain merge`},
	{name: "broker", floor: 6, files: `broker state appends wake publish follow history serve admit
		limits refuse hooks shutdown streamoptions config attach`},
	{name: "subscriber", floor: 6, files: `subscriber membership peer lag render pages permit wheel
		expiry timers held called comments`},
	{name: "parked", floor: 7, files: `parked park loop`},
}

// systems are the endings of the names of files that are compiled only on some
// systems.
var systems = []string{"_linux", "_darwin", "_windows", "_unix", "_other"}

// placement maps the name of a file, without .go, to its shelf.
type placement map[string]*shelf

// place returns the placement that a list of shelves describes, and sets the order of
// each shelf. It returns an error if a file is on two shelves.
func place(list []shelf) (placement, error) {
	at := make(placement)
	for i := range list {
		list[i].order = i
		for name := range strings.FieldsSeq(list[i].files) {
			if at[name] != nil {
				return nil, fmt.Errorf("%s.go is on two shelves: %s and %s",
					name, at[name].name, list[i].name)
			}
			at[name] = &list[i]
		}
	}
	return at, nil
}

// of returns the shelf of a file, or nil if the file is on no shelf.
func (at placement) of(file string) *shelf {
	name := strings.TrimSuffix(file, ".go")
	if s := at[name]; s != nil {
		return s
	}
	for _, ending := range systems {
		if base, ok := strings.CutSuffix(name, ending); ok {
			return at[base]
		}
	}
	return nil
}

// unknown returns the files that are on no shelf.
func (at placement) unknown(files []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		return file == "doc.go" || at.of(file) != nil
	})
}

// missing returns the names in the table for which no file exists.
func (at placement) missing(files []string) []string {
	there := make(map[string]bool)
	for _, file := range files {
		name := strings.TrimSuffix(file, ".go")
		there[name] = true
		for _, ending := range systems {
			there[strings.TrimSuffix(name, ending)] = true
		}
	}
	var missing []string
	for name := range at {
		if !there[name] {
			missing = append(missing, name+".go")
		}
	}
	slices.Sort(missing)
	return missing
}
