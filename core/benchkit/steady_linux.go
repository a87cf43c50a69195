package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// steadyConns is how many connections ask, each when it has its answer.
const steadyConns = 16

// contestant is one of the servers that are measured without an upgrade.
type contestant struct {
	build
	service *service
	conns   conns
	asks    func(c net.Conn, buf []byte) error
	rate    sample // requests a second
	cpu     sample // of the server for a request, in microseconds
}

// steady measures what a request costs without an upgrade, over HTTP/1 and over HTTP/2 in the clear.
func (k *kit) steady(ctx context.Context) error {
	return errors.Join(k.steadyOver(ctx, "steady", false), k.steadyOver(ctx, "steady/h2c", true))
}

// steadyOver is steady of one protocol. net/http is there twice: the ratio of the second one says how well the machine
// measures.
func (k *kit) steadyOver(ctx context.Context, name string, http2 bool) (err error) {
	if !k.chosen(name) {
		return nil
	}
	var flags []string
	if http2 {
		flags = []string{"-h2c"}
	}
	bare := build{"net/http", k.builds[0].path, []string{"-bare"}}
	again := bare
	again.name += " again"
	var all []*contestant
	for _, b := range slices.Concat([]build{bare, again}, k.builds) {
		c := &contestant{build: b, asks: ask}
		all = append(all, c)
		if c.service, err = b.start(ctx, k, flags...); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.service.stop()) }()
		if c.conns, err = c.service.dial(ctx, steadyConns); err != nil {
			return err
		}
		if http2 {
			c.asks = askHTTP2
			c.conns.speakHTTP2()
		}
		c.round(k.steadyRequests) // so that all is warm
		c.rate, c.cpu = nil, nil
	}
	k.say("%s: %d rounds", name, k.steadyRounds)
	for round := range k.steadyRounds {
		for i := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			c := all[(i+round)%len(all)]
			if err := c.round(k.steadyRequests).err(); err != nil {
				return fmt.Errorf("%s: %s: %w", name, c.name, err) // a closed connection would go through its rounds in no time
			}
		}
	}
	k.head(name, fmt.Sprintf("%d connections ask without a pause, without an upgrade: %d rounds of %d requests."+
		" Median [quartiles]; the ratios are those of each round.", steadyConns, k.steadyRounds, k.steadyRequests),
		[]string{"server", "requests/s", "against net/http", "CPU of the server for a request, µs", "against net/http"})
	for _, c := range all {
		k.row(c.name, c.rate.quartered(), c.rate.over(all[0].rate).quartered(), c.cpu.quartered(), c.cpu.over(all[0].cpu).quartered())
	}
	if len(k.builds) > 1 {
		this, other := all[2], all[3]
		k.row("this against other", "", this.rate.over(other.rate).quartered(), "", this.cpu.over(other.cpu).quartered())
	}
	return nil
}

// round asks n times, and notes the rate and the processor time.
func (c *contestant) round(n int) losses {
	pid := c.service.current.pid
	used, began := cpu(pid), time.Now()
	lost := c.conns.count(repeated(max(n/steadyConns, 1), c.asks))
	c.rate = append(c.rate, float64(n)/time.Since(began).Seconds())
	c.cpu = append(c.cpu, microseconds(cpu(pid)-used)/float64(n))
	return lost
}
