//go:build !unix

package sshtunnel

import "io/fs"

// onlyOurs: the permission bits of Windows do not tell, and the folders of users are
// closed to others.
func onlyOurs(fs.FileInfo) bool { return true }

// exposed is never known there either.
func exposed(fs.FileInfo) bool { return false }
