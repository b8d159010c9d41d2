package server

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// certificate is the server's own, with its key.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// use takes the contents of the certificate file and the key file.
func (c *certificate) use(contents [][]byte) error {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c.current.Store(&pair)
	return nil
}

// config has every handshake take the certificate that is current then.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}
