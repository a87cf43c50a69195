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

// bulkSize is how much an answer of steady/tls-bulk has.
const bulkSize = 4 << 20

// protocol is what is spoken in a cell of steady.
type protocol struct {
	cell          string
	secure, http2 bool
	bulk          bool // large answers
}

var protocols = []protocol{
	{cell: "steady"},
	{cell: "steady/h2c", http2: true},
	{cell: "steady/tls", secure: true},
	{cell: "steady/tls-h2", secure: true, http2: true},
	{cell: "steady/tls-bulk", secure: true, bulk: true},
}

// contestant is one of the servers that are measured without an upgrade.
type contestant struct {
	build
	moved   bool // it is measured when the connections have moved once
	service *service
	conns   conns
	asks    func(c net.Conn, buf []byte) error
	rate    sample // requests a second
	cpu     sample // of the server for a request, in microseconds
}

// steady measures what a request costs without an upgrade.
func (k *kit) steady(ctx context.Context) error {
	for _, p := range protocols {
		if k.chosen(p.cell) {
			if err := k.steadyOver(ctx, p); err != nil {
				return fmt.Errorf("%s: %w", p.cell, err)
			}
		}
	}
	return nil
}

// contestants are the servers of a cell. net/http is there twice: the ratio of the second one says how well the machine
// measures.
func (k *kit) contestants(p protocol) (all []*contestant) {
	add := func(name string, of build, moved bool, flags ...string) {
		all = append(all, &contestant{build: build{name, of.path, slices.Concat(of.args, p.flags(), flags)}, moved: moved})
	}
	add("net/http", k.builds[0], false, "-bare")
	add("net/http again", k.builds[0], false, "-bare")
	for _, b := range k.builds {
		if !p.secure {
			add(b.name, b, false)
			continue
		}
		add(b.name+", TLS stays", b, false)
		add(b.name+", TLS moves", b, false, "-tls-handoff")
		add(b.name+", it has moved", b, true, "-tls-handoff")
	}
	return all
}

// flags are those of a server that speaks it.
func (p protocol) flags() (flags []string) {
	if p.secure {
		return []string{"-tls"}
	}
	if p.http2 {
		return []string{"-h2c"}
	}
	return nil
}

// speak begins with it on connections that nobody has used, and returns what asks on one of them.
func (p protocol) speak(c conns) (asks func(c net.Conn, buf []byte) error, err error) {
	if p.secure {
		if err := c.speakTLS(p.http2); err != nil {
			return nil, err
		}
	}
	switch {
	case p.http2:
		c.speakHTTP2()
		return askHTTP2, nil
	case p.bulk:
		return askBulk, nil
	}
	return ask, nil
}

// begin connects to a server that speaks it.
func (c *contestant) begin(ctx context.Context, p protocol) (err error) {
	if c.conns, err = c.service.dial(ctx, steadyConns); err == nil {
		c.asks, err = p.speak(c.conns)
	}
	return err
}

// steadyOver is steady of one protocol.
func (k *kit) steadyOver(ctx context.Context, p protocol) (err error) {
	requests := k.steadyRequests
	if p.bulk {
		requests = k.bulkRequests
	}
	all := k.contestants(p)
	for _, c := range all {
		if c.service, err = c.start(ctx, k); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.service.stop()) }()
		if err = c.begin(ctx, p); err != nil {
			return err
		}
		err = c.round(requests).err() // so that all is warm
		if err == nil && c.moved {
			if _, err = c.service.upgrade(ctx); err == nil {
				err = c.round(requests).err()
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		c.rate, c.cpu = nil, nil
	}
	k.say("%s: %d rounds", p.cell, k.steadyRounds)
	for round := range k.steadyRounds {
		for i := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			c := all[(i+round)%len(all)]
			if err := c.round(requests).err(); err != nil {
				return fmt.Errorf("%s: %w", c.name, err) // a closed connection would go through its rounds in no time
			}
		}
	}
	k.head(p.cell, fmt.Sprintf("%d connections ask without a pause, without an upgrade: %d rounds of %d requests."+
		" Median [quartiles]; the ratios are those of each round.", steadyConns, k.steadyRounds, requests),
		[]string{"server", "requests/s", "against net/http", "CPU of the server for a request, µs", "against net/http"})
	for _, c := range all {
		k.row(c.name, c.rate.quartered(), c.rate.over(all[0].rate).quartered(), c.cpu.quartered(), c.cpu.over(all[0].cpu).quartered())
	}
	if each := (len(all) - 2) / len(k.builds); len(k.builds) > 1 {
		for i, c := range all[2 : 2+each] {
			other := all[2+each+i]
			k.row(c.name+" against other", "", c.rate.over(other.rate).quartered(), "", c.cpu.over(other.cpu).quartered())
		}
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
