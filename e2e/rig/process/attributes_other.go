//go:build !linux

package process

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }

// onFirstThread says no: threads have no namespaces here.
func onFirstThread() bool { return false }

// unconfined returns the program: only Linux has AppArmor.
func unconfined(program, _ string) (string, error) { return program, nil }
