package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newTerminal makes a pair of ends of a terminal, pty(7).
func newTerminal() (*terminal, error) {
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	number, err := unlock(ours)
	if err != nil {
		ours.Close()
		return nil, err
	}
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		ours.Close()
		return nil, err
	}
	return &terminal{theirs: theirs, ours: ours}, nil
}

// unlock lets the other end be opened, and gives its number.
func unlock(ours *os.File) (number uint32, err error) {
	err = control(ours, func(fd int) error {
		err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
		if err == nil {
			number, err = unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		}
		return err
	})
	return number, err
}

// echo reports whether a terminal shows what is typed.
func echo(ours *os.File) (on bool, err error) {
	err = control(ours, func(fd int) error {
		state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			on = state.Lflag&unix.ECHO != 0
		}
		return err
	})
	return on, err
}

func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}
