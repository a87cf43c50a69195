package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// build is a server to measure.
type build struct {
	name, path string
	args       []string
}

// start starts it, with more arguments.
func (b build) start(ctx context.Context, k *kit, args ...string) (*service, error) {
	s, err := startService(ctx, k.errOut, b.path, slices.Concat(b.args, args)...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.name, err)
	}
	if k.pin {
		if err := pin(s.PID(), serverProcessor); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, nil
}

// figures are what one round has measured: for each column of the table as many values as there were.
type figures []sample

// cell is one thing that is measured of each build.
type cell struct {
	name    string // behind the mode's
	conns   int    // how many connections it has open at a time
	rounds  int
	measure func(ctx context.Context, b build) (figures, losses, error)
}

// compare measures the cells that were chosen, and prints a table with their columns. In each round all builds have
// their turn, and neither of two always comes first.
func (k *kit) compare(ctx context.Context, mode, about string, columns []string, cells []cell) error {
	if cells = k.choose(mode, cells); len(cells) == 0 {
		return nil
	}
	columns = slices.Concat([]string{"cell", "server"}, columns, []string{"lost"})
	k.head(mode, about, columns)
	for _, c := range cells {
		if need := c.descriptors(); need > k.limit {
			why := fmt.Sprintf("not possible: it takes %d descriptors, and RLIMIT_NOFILE is %d", need, k.limit)
			k.row(append([]string{c.name, why}, make([]string, len(columns)-2)...)...)
			continue
		}
		all := make([]figures, len(k.builds))
		lost := make([]losses, len(k.builds))
		for round := range c.rounds {
			for i := range k.builds {
				i = (i + round) % len(k.builds)
				k.say("%s/%s: round %d of %d, %s", mode, c.name, round+1, c.rounds, k.builds[i].name)
				f, l, err := c.measure(ctx, k.builds[i])
				lost[i].add(l)
				k.lost.add(l)
				if err != nil {
					return fmt.Errorf("%s/%s: %w", mode, c.name, err)
				}
				all[i] = all[i].join(f)
			}
		}
		for i, b := range k.builds {
			k.row(slices.Concat([]string{c.name, b.name}, all[i].texts(), []string{fmt.Sprint(lost[i].count)})...)
		}
		if len(all) > 1 {
			ratios := make(figures, len(all[0]))
			for i := range ratios {
				ratios[i] = all[0][i].over(all[1][i])
			}
			k.row(slices.Concat([]string{c.name, "ratio"}, ratios.texts(), []string{""})...)
		}
	}
	return nil
}

// choose returns the cells of a mode that -run has chosen.
func (k *kit) choose(mode string, cells []cell) []cell {
	return slices.DeleteFunc(slices.Clone(cells), func(c cell) bool { return !k.chosen(mode + "/" + c.name) })
}

// descriptors is how many the kit, and each process of the server, must have for a cell. Of its free descriptors a new
// process keeps a tenth for other things than connections that move (docs/moving.md).
func (c cell) descriptors() int { return c.conns + c.conns/9 + 500 }

// join appends the values of one more round.
func (f figures) join(more figures) figures {
	if f == nil {
		return more
	}
	for i := range f {
		f[i] = append(f[i], more[i]...)
	}
	return f
}

func (f figures) texts() (all []string) {
	for _, s := range f {
		all = append(all, s.ranged())
	}
	return all
}

// head prints the beginning of a table.
func (k *kit) head(title, about string, columns []string) {
	fmt.Fprintf(k.out, "\n## %s\n\n%s\n\n    %s\n\n", title, about, k.command)
	k.row(columns...)
	fmt.Fprintln(k.out, "|"+strings.Repeat("---|", len(columns)))
}

// row prints a line of a table.
func (k *kit) row(fields ...string) { fmt.Fprintf(k.out, "| %s |\n", strings.Join(fields, " | ")) }
