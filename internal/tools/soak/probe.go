package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// probe asks processes for their census, each time over a connection of its own.
type probe struct {
	*tally
	url    string
	client http.Client
}

func newProbe(addr string, v *verdict) *probe {
	return &probe{
		tally: newTally("census", v), url: "http://" + addr + "/census",
		client: http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: load.DefaultTimeout},
	}
}

// ask returns the census of the current generation.
func (p *probe) ask() (c census, err error) {
	began := time.Now()
	p.dialed(false)
	resp, err := p.client.Get(p.url)
	if err == nil {
		defer resp.Body.Close()
		err = json.NewDecoder(resp.Body).Decode(&c)
	}
	if err != nil {
		p.failed(1, err)
		return c, err
	}
	p.answered(time.Since(began), load.Server{PID: strconv.Itoa(c.PID), Generation: strconv.Itoa(c.Generation)})
	return c, nil
}

// Snapshot and Stop make it one of the crowd. What is asked after Stop counts too.
func (p *probe) Snapshot() load.Result { return p.result() }

// Stop ends nothing.
func (p *probe) Stop() load.Result { return p.result() }

// quiet asks until the process has no more than the one before had when nobody
// else asked it, and at last when patience is over: what clients leave behind goes
// within moments. Without one before it takes all of the time.
func (p *probe) quiet(before *census, patience time.Duration) (c census, err error) {
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(5 * poll) {
		if c, err = p.ask(); err != nil {
			return c, err
		}
		if before != nil && c.Goroutines <= before.Goroutines && c.Descriptors <= before.Descriptors {
			break
		}
	}
	return c, nil
}
