//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package console

import "golang.org/x/sys/unix"

// hush has a terminal no longer show what is typed. term.ReadPassword does so as well,
// but only when it begins to read: what is typed until then would be seen.
func hush(fd int) error {
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return err
	}
	state.Lflag &^= unix.ECHO
	return unix.IoctlSetTermios(fd, setTermios, state)
}
