//go:build unix

package sshtunnel

import (
	"io/fs"
	"os"
	"syscall"
)

// onlyOurs reports whether nobody but the user and the administrator can have written
// a file: what it says decides whom we reach.
func onlyOurs(info fs.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && (owner.Uid == 0 || int(owner.Uid) == os.Getuid()) && info.Mode().Perm()&0o022 == 0
}

// exposed reports whether a private key of the user can be read by others. One that
// belongs to somebody else is that person's to guard: OpenSSH has the same rule.
func exposed(info fs.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Getuid() && info.Mode().Perm()&0o077 != 0
}
