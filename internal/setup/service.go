package setup

import (
	"context"
	"fmt"

	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/store"
)

// Service keeps the state of the installation and runs the wizard. Its fields
// are set once, before use.
type Service struct {
	Store *store.DB // main
	Now   clock.Now
}

// Find gives the state; the zero State where nothing has begun. It needs
// neither keys nor log, so that a start can be refused before they are opened.
func (s *Service) Find(ctx context.Context) (State, error) {
	var v State
	err := s.Store.View(ctx, store.System("setup.find"), func(tx *store.Tx) (err error) {
		v, err = readState(tx)
		return err
	})
	if err != nil {
		return State{}, fmt.Errorf("setup: read state: %w", err)
	}
	return v, nil
}
