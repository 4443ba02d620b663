//go:build unix

package config

import (
	"os"
	"syscall"
)

// trusted reports whether only this user can have put something into dir. The
// administrator trusts every owner, as in a container with a mounted folder.
func trusted(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o002 != 0 {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	me := os.Geteuid()
	return ok && (me == 0 || int(owner.Uid) == me)
}

// exposed reports whether other users can read a file.
func exposed(info os.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
