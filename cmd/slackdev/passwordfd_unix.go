//go:build unix

package main

import "syscall"

// inherited reports whether a descriptor came from whoever started slackdev. Go marks
// its own ones to be closed in other programs, and one so marked cannot have come.
func inherited(fd int) bool {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	return errno == 0 && flags&syscall.FD_CLOEXEC == 0
}
