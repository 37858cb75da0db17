package process

import "syscall"

// attributes binds the child to its starting thread, and keeps an interrupt typed at the terminal from reaching it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// onFirstThread says whether the caller runs on the thread that the process began with.
func onFirstThread() bool { return syscall.Gettid() == syscall.Getpid() }
