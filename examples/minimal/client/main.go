// Command client waits for the server, prints its messages, and comes back whenever it loses it.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"
)

func main() {
	for {
		log.Print("TRY_OPEN_CONNECTION")
		log.Print(listen("http://localhost:3000/handshake")) // why it is over
		time.Sleep(time.Second)
	}
}

// listen prints messages until the connection ends, which it always does one day.
func listen(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err // most often: the server is not there yet
	}
	defer response.Body.Close()
	kind := response.Header.Get("Content-Type")
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		return fmt.Errorf("not an event stream: %s, %s", response.Status, kind)
	}
	log.Print("connection established..")
	log.Print("WAITING_MESSAGE")
	reader := bufio.NewReader(response.Body) // not a bufio.Scanner, which ends at a line of 64 KiB
	var message []string
	var other bool // it is of a type that this client does not know
	for {
		line, err := reader.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return errors.New("the server has ended the connection") // an end is no error to Go
		}
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		field, value, _ := strings.Cut(line, ":") // data, event, id, retry; nothing: a comment
		switch {
		case field == "data":
			message = append(message, strings.TrimPrefix(value, " "))
		case field == "event":
			value = strings.TrimPrefix(value, " ")
			other = value != "" && value != "message"
		case line == "": // the message is complete, if there is one
			if message != nil && !other {
				fmt.Println(strings.Join(message, `\n`)) // one line, whatever is in it
			}
			message, other = nil, false
		}
	}
}
