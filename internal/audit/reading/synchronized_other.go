//go:build !linux

package reading

// synchronized is not known where the kernel has no such call.
func synchronized() (ok, known bool) { return false, false }
