//go:build unix && !linux

package main

import (
	"errors"
	"os"
)

// newTerminal is for Linux alone: each system makes its terminals in another way.
func newTerminal() (*terminal, error) { return nil, errors.ErrUnsupported }

func echo(*os.File) (bool, error) { return false, errors.ErrUnsupported }
