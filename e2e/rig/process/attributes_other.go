//go:build !linux

package process

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }

// onFirstThread says no: threads have no namespaces here.
func onFirstThread() bool { return false }
