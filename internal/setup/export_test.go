package setup

import (
	"net/http"
	"net/netip"
)

// Admit is the decision whether the request's browser runs the wizard.
func Admit(s *Service, r *http.Request) error { _, err := s.admit(r); return err }

// Secure is the decision whether nobody on the way can have read the request.
func Secure(s *Service, r *http.Request, source netip.Addr) bool { return s.secure(r, source) }
