//go:build !linux && !darwin

package space

// Free returns ErrUnknown.
func Free(string) (uint64, error) { return 0, ErrUnknown }
