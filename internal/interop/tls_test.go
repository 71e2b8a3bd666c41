package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// discardLog is the logger of servers whose clients abort handshakes.
var discardLog = log.New(io.Discard, "", 0)

// Two hosts of one site (app.localhost), which are different origins. A page of one
// host can use the cookies of the other host, because browsers block only cookies of
// other sites.
const (
	pageHost   = "page.app.localhost"
	eventsHost = "events.app.localhost"
)

// certificate is a self-signed certificate.
type certificate struct {
	key *ecdsa.PrivateKey
	der []byte
}

func selfSigned(t *testing.T) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "interop"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              []string{"localhost", pageHost, eventsHost},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return certificate{key, der}
}

// config returns a TLS configuration for a server with the certificate.
func (c certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{c.der}, PrivateKey: c.key}},
	}
}

// trusted returns a TLS configuration for a client that trusts only the certificate.
func (c certificate) trusted(t *testing.T) *tls.Config {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
}

// write writes the certificate and its key to files in dir.
func (c certificate) write(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: c.der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// fingerprint returns the SHA-256 of the certificate as Firefox writes it: with a
// colon after each byte.
func (c certificate) fingerprint() string {
	var text strings.Builder
	for i, b := range sha256.Sum256(c.der) {
		if i > 0 {
			text.WriteByte(':')
		}
		const digits = "0123456789ABCDEF"
		text.WriteByte(digits[b>>4])
		text.WriteByte(digits[b&15])
	}
	return text.String()
}
