package main

import (
	"net/http"
	"strings"
)

// secretFlag is the flag --key. No message contains its value.
type secretFlag struct {
	secret string
	isSet  bool
}

func (f *secretFlag) String() string { return "" }

// Set implements [flag.Value]. It accepts every value, because the error for a value
// that Set refuses would contain the value. Instead, addTo checks the value.
func (f *secretFlag) Set(value string) error {
	*f = secretFlag{value, true}
	return nil
}

// addSecretFlag declares the flag --key of a command that sends requests.
func (s *settings) addSecretFlag(f *secretFlag) {
	s.addFlag(f, "key", "send `SECRET`, the secret of one of the hub's keys, as Authorization: "+
		"Bearer SECRET; to hide it from the process list, set the environment variable instead")
}

// addTo adds the key to the headers of a request. It returns an error if the key
// cannot be a part of a header, or if header already has an Authorization.
func (f *secretFlag) addTo(header http.Header) error {
	switch {
	case !f.isSet:
		return nil
	case f.secret == "":
		return usageError("", "--key must not be empty")
	case strings.ContainsFunc(f.secret, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return usageError("use the secret alone, without the name and the grants of the key",
			"--key must have only visible ASCII characters, and no spaces")
	case header.Get("Authorization") != "":
		return usageError("", "--key and -H 'Authorization: …' must not be used together")
	}
	header.Set("Authorization", "Bearer "+f.secret)
	return nil
}
