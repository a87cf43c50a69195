package release_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
)

// A deploy: what another one has left is put in order, the release that the source offers is brought to the disk, and
// the app is upgraded to it.
func Example() {
	deploy := func(ctx context.Context, source release.Source) error {
		store, err := release.Open("/srv/shop", "shop")
		if err != nil {
			return err
		}
		defer store.Close()
		app, err := control.Find(ctx, control.Query{PIDFile: "/run/shop.pid"})
		if err != nil {
			return err
		}
		show := func(e release.Event) { fmt.Println(e.Kind, e.Release, e.Text) }
		if _, err := store.Recover(ctx, app, show); err != nil {
			return err
		}
		trust := release.Trust{Name: "shop", Keys: []string{"RWTcyZwm..."}}
		r, err := store.Stage(ctx, source, trust, release.StageOptions{Check: []string{"{}", "-check-config"}}, show)
		if errors.Is(err, release.ErrNotAccepted) {
			return err // and not tried again
		}
		if err != nil {
			return err
		}
		outcome, err := store.Try(ctx, app, r, show)
		if err != nil {
			return err
		}
		if !outcome.OK {
			return fmt.Errorf("%s is %s: %s", r.ID, outcome.Kind, outcome.Reason)
		}
		_, err = store.Prune(ctx, app, release.DefaultKeep, show)
		return err
	}
	_ = deploy
}

// The way back. Followers are held until a newer release comes.
func ExampleStore_Back() {
	store, err := release.Open("/srv/shop", "shop")
	if err != nil {
		log.Println(err)
		return
	}
	defer store.Close()
	outcome, err := store.Back(context.Background(), control.Dial("/run/gracex/shop.sock"), nil)
	log.Println(outcome.OK, err)
}

// What happened, without the lock.
func ExampleReadHistory() {
	entries, err := release.ReadHistory("/srv/shop", 10)
	if err != nil {
		log.Println(err)
	}
	for _, e := range entries {
		fmt.Println(e.Time, e.Who, e.Release, e.Outcome)
	}
}
