package provider

import "github.com/rempart/rempart/internal/capability"

func (s *Service) controls() []capability.Control { return nil }
