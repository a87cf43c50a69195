package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/robfig/cron/v3"
)

// jobTakes is long, so that a deploy comes while a job runs.
const jobTakes = time.Second

// schedule is the background work: a job at once, because its time can have come between two processes, and then every
// two seconds. No two run at a time. gracex keeps those of two processes apart, and cron those of one, where a job can
// take longer than the time to the next.
func schedule(st *store) func(context.Context) error {
	return func(ctx context.Context) error {
		c := cron.New(cron.WithChain(cron.SkipIfStillRunning(cron.DiscardLogger)))
		job := func() { work(context.WithoutCancel(ctx), st) }
		if _, err := c.AddFunc("@every 2s", job); err != nil {
			return err
		}
		job()
		c.Start()
		<-ctx.Done()
		<-c.Stop().Done() // the job that runs
		return nil
	}
}

// work is the job. It takes a while, and no other process may do it meanwhile.
func work(ctx context.Context, st *store) {
	id, err := st.begin(ctx, os.Getpid())
	if err == nil {
		time.Sleep(jobTakes)
		err = st.end(ctx, id)
	}
	if err != nil {
		slog.Error("the job has failed", "error", err)
	}
}
