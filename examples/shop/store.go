package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"

	_ "modernc.org/sqlite" // the driver, in Go alone: a machine that builds it needs no C compiler
)

// store is the database. In an upgrade two processes write to it: WAL lets one read while the other writes, and
// busy_timeout lets a writer wait for another one.
type store struct{ db *sql.DB }

const schema = `
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL);
INSERT OR IGNORE INTO counters VALUES ('orders', 0), ('jobs', 0);
CREATE TABLE IF NOT EXISTS jobs (
	id     INTEGER PRIMARY KEY,
	pid    INTEGER NOT NULL,
	others INTEGER NOT NULL, -- jobs that ran when this one began
	begun  TEXT NOT NULL,
	ended  TEXT
);`

// job is a row of the table jobs.
type job struct {
	ID     int64  `json:"id"`
	PID    int    `json:"pid"`
	Others int    `json:"others"`
	Begun  string `json:"begun"`
	Ended  string `json:"ended,omitempty"` // empty while it runs
}

func openStore(file string) (*store, error) {
	pragmas := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)"}}
	db, err := sql.Open("sqlite", "file:"+file+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // the statements of one process take turns, and do not wait for one another in SQLite
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &store{db}, nil
}

func (s *store) close(context.Context) { _ = s.db.Close() }

// order counts one more order.
func (s *store) order(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "UPDATE counters SET n = n + 1 WHERE name = 'orders'")
	return err
}

// counts are the counters.
type counts struct{ orders, jobs int64 }

func (s *store) counts(ctx context.Context) (n counts, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT (SELECT n FROM counters WHERE name = 'orders'),
		(SELECT n FROM counters WHERE name = 'jobs')`).Scan(&n.orders, &n.jobs)
	return n, err
}

// begin notes that a job of this process begins, and how many jobs run at that moment.
func (s *store) begin(ctx context.Context, pid int) (id int64, err error) {
	err = s.db.QueryRowContext(ctx, `INSERT INTO jobs (pid, others, begun)
		VALUES (?, (SELECT count(*) FROM jobs WHERE ended IS NULL), strftime('%Y-%m-%d %H:%M:%f'))
		RETURNING id`, pid).Scan(&id)
	return id, err
}

// end notes that the job has ended, and counts it.
func (s *store) end(ctx context.Context, id int64) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE jobs SET ended = strftime('%Y-%m-%d %H:%M:%f') WHERE id = ?", id)
	if err == nil {
		_, err = tx.ExecContext(ctx, "UPDATE counters SET n = n + 1 WHERE name = 'jobs'")
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// jobs lists them all, the first one first.
func (s *store) jobs(ctx context.Context) ([]job, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, pid, others, begun, coalesce(ended, '') FROM jobs ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []job{}
	for rows.Next() {
		var j job
		if err := rows.Scan(&j.ID, &j.PID, &j.Others, &j.Begun, &j.Ended); err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	return all, rows.Err()
}
