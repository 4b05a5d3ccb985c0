package provider

import (
	"context"

	"github.com/rempart/rempart/internal/capability"
)

// Doors for the tests.
var (
	ParseBasic    = parseBasic
	CheckRedirect = checkRedirect
)

// RotateDue runs the job.
func (s *Service) RotateDue(ctx context.Context) error { return s.rotateDue(ctx) }

// Sweep runs the job.
func (s *Service) Sweep(ctx context.Context) error { return s.sweep(ctx) }

// Poll reads what another node changed.
func (s *Service) Poll(ctx context.Context) error { return s.poll(ctx) }

// Table is a manifest's.
type Table = capability.Table
