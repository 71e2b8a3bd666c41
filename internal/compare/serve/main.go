// Command serve runs one server of the comparison. The server reads commands
// from its standard input (see package control) and ends at the end of its
// input.
//
//	serve list
//		prints the names of the servers
//	serve NAME TOPICS [ADDR]
//		runs a server with a number of topics. It listens on a free port of
//		127.0.0.1, or on ADDR, which several processes can share. The first line
//		that it prints contains its address.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/compare/control"
)

// subject is a server under test.
type subject struct {
	handler http.Handler
	// publish publishes one event on the topic. It must not lose an event for a slow
	// subscriber. If it blocks for that reason, the time is a part of the cost. It
	// may retain data.
	publish func(topic, data string) error
	// publishAll publishes several events: data[i] on topics[i]. If it is nil,
	// publish is called for each event.
	publishAll func(topics, data []string) error
	path       string // path for subscribers; {topic} stands for the topic
	pattern    string // path for pattern subscribers; empty if patterns are not supported
	body       bool   // the server sends bytes of the body with the header
	version    string
	// configure, if not nil, sets fields of the HTTP server.
	configure func(*http.Server)
	// broker is the broker of a server of this library. It is nil for other servers.
	broker *sse.Broker
}

// subjects are the constructors of the servers, by name. The argument of a
// constructor is the names of the topics. main adds the servers of this library.
var subjects = map[string]func(topics []string) (*subject, error){
	"plain":   newPlain,
	"tmaxmax": newTmaxmax,
	"r3labs":  newR3labs,
}

func main() {
	maps.Copy(subjects, brokers)
	if len(os.Args) == 2 && os.Args[1] == "list" {
		for _, name := range slices.Sorted(maps.Keys(subjects)) {
			fmt.Println(name)
		}
		return
	}
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: serve list, or serve NAME TOPICS [ADDR]")
		os.Exit(2)
	}
	listen := func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	if len(os.Args) == 4 {
		listen = func() (net.Listener, error) { return listenShared(os.Args[3]) }
	}
	topics, err := strconv.Atoi(os.Args[2])
	if err == nil {
		err = run(os.Args[1], topics, listen)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run(name string, topics int, listen func() (net.Listener, error)) error {
	create := subjects[name]
	if create == nil {
		return fmt.Errorf("there is no server %q: serve list prints all names", name)
	}
	names := make([]string, topics)
	for i := range names {
		names[i] = control.Topic(i)
	}
	s, err := create(names)
	if err != nil {
		return err
	}
	listener, err := listen()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler}
	if s.configure != nil {
		s.configure(server)
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }() // ends with the process
	p := &publisher{subject: s, topics: names}
	if err := reply(control.ServerReply{
		Is: control.ServerListening, Addr: listener.Addr().String(),
		Path: s.path, Pattern: s.pattern, Body: s.body, Version: s.version,
	}); err != nil {
		return err
	}
	go func() { failed <- p.run(os.Stdin) }()
	return <-failed
}

// reply writes a line to the coordinator.
func reply(r control.ServerReply) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}
