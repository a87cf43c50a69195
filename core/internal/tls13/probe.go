package tls13

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"time"
)

// Moves tries, once in a process and not before a connection is to move, whether crypto/tls reads and writes as First
// relies on. An error says that nothing moves: a StaysError, if that is no matter of crypto/tls.
var Moves = sync.OnceValue(Probe)

// probeTime bounds Probe, which takes a few milliseconds.
const probeTime = 5 * time.Second

// Probe moves a connection in memory, between the handshake and its end:
//
//   - crypto/tls tells the secrets before it writes the first record with one of them;
//   - it has no plaintext left when it asks for the next record, and it goes on after a timeout then;
//   - the client understands what is written after each of two moves, and is understood, with data that was
//     read ahead.
func Probe() error {
	cert, err := probeCertificate()
	if err != nil {
		return fmt.Errorf("crypto/tls, a certificate: %w", err)
	}
	server, client := net.Pipe()
	defer server.Close()
	defer client.Close()
	limit := time.Now().Add(probeTime)
	_, _ = server.SetDeadline(limit), client.SetDeadline(limit)
	clientEnds := make(chan error, 1)
	patient := &probeConn{Conn: client, out: make(chan []byte, 16)}
	go patient.pump()
	go func() {
		defer close(patient.out)
		//nolint:gosec // it is its own server
		clientEnds <- probeClient(tls.Client(patient, &tls.Config{InsecureSkipVerify: true}))
	}()
	err = probeServer(server, Config(&tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13,
	}))
	if err != nil {
		return err
	}
	if err = <-clientEnds; err != nil {
		return fmt.Errorf("crypto/tls, a client whose connection has moved: %w", err)
	}
	return nil
}

// probeConn is an end of a pipe on which a Write does not wait for the other end to read.
type probeConn struct {
	net.Conn
	out chan []byte
}

func (c *probeConn) Write(b []byte) (int, error) {
	c.out <- append([]byte(nil), b...)
	return len(b), nil
}

func (c *probeConn) pump() {
	for b := range c.out {
		_, _ = c.Conn.Write(b) // who waits for it notices
	}
}

// probeWords is what the client says, a piece in each record, and hears again.
var probeWords = []string{"before", "the moves", "and after"}

func probeClient(c *tls.Conn) error {
	got := make([]byte, 16)
	for _, w := range probeWords {
		if _, err := io.WriteString(c, w); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, got[:len(w)]); err != nil {
			return err
		}
		if string(got[:len(w)]) != w {
			return fmt.Errorf("it has read %q instead of %q", got[:len(w)], w)
		}
	}
	if _, err := c.Read(got); err != io.EOF { //nolint:errorlint // close_notify is that very error
		return fmt.Errorf("it has read %w instead of the end", err)
	}
	return nil
}

// probeServer takes the first byte of each piece, moves the connection, and answers then.
func probeServer(nc net.Conn, conf *tls.Config) error {
	f := Server(nc, conf)
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	if err := f.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("crypto/tls, a handshake: %w", err)
	}
	var c interface {
		net.Conn
		Seal() (*Sealed, error)
	} = f
	for i, w := range probeWords {
		got := make([]byte, len(w))
		if _, err := io.ReadFull(c, got[:1]); err != nil {
			return fmt.Errorf("crypto/tls, after %d moves: %w", i, err)
		}
		sealed, err := c.Seal()
		if err != nil {
			return err
		}
		next, err := Adopt(nc, sealed.State())
		sealed.Gone()
		if err != nil {
			return err
		}
		c = next.Taken()
		if _, err = io.ReadFull(c, got[1:]); err == nil {
			_, err = c.Write(got)
		}
		if err != nil {
			return fmt.Errorf("crypto/tls, after %d moves: %w", i+1, err)
		}
	}
	return c.Close()
}

// probeCertificate makes one that nobody else sees.
func probeCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
