package page

import (
	"context"
	"errors"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// errNoSocket is a mistake in the program's options.
var errNoSocket = errors.New("page: the app has no control socket: give it one by core.WithPIDFile or core.WithControlSocket")

// Own returns the app of this process, whose control socket the function names each time that the page asks: that of
// core.ControlSocket, which is not known before the app runs.
//
//	page.Handler(page.Config{Source: page.Own(core.ControlSocket)})
func Own(socket func() string) Source { return own{socket} }

type own struct{ socket func() string }

// client is for one call.
func (o own) client() (*control.Client, error) {
	if path := o.socket(); path != "" {
		return control.Dial(path), nil
	}
	return nil, errNoSocket
}

func (o own) Status(ctx context.Context) (control.Status, error) {
	c, err := o.client()
	if err != nil {
		return control.Status{}, err
	}
	return c.Status(ctx)
}

func (o own) Totals(ctx context.Context, measure time.Duration) (control.Totals, error) {
	c, err := o.client()
	if err != nil {
		return control.Totals{}, err
	}
	return c.Totals(ctx, measure)
}

func (o own) Events(ctx context.Context, since time.Time, f func(control.Event)) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	return c.Events(ctx, since, f)
}

func (o own) Upgrade(ctx context.Context, opts control.UpgradeOptions) (control.Outcome, error) {
	c, err := o.client()
	if err != nil {
		return control.Outcome{}, err
	}
	return c.Upgrade(ctx, opts)
}

func (o own) Rollback(ctx context.Context, reason string) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	return c.Rollback(ctx, reason)
}

func (o own) Promote(ctx context.Context) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	return c.Promote(ctx)
}

func (o own) Stop(ctx context.Context) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	return c.Stop(ctx)
}
