//go:build !unix

package config

import "os"

// trusted reports whether only this user can have put something into dir. Windows
// keeps shared folders apart from those that a user works in.
func trusted(string) bool { return true }

// exposed reports whether other users can read a file: the permission bits of
// Windows do not tell, the folder's access list does.
func exposed(os.FileInfo) bool { return false }
